package main

import (
	"errors"
	"sort"

	"github.com/anishathalye/porcupine"
)

// history gathers calls and returns in the order of the lines, which is the order of real time.
type history struct {
	events []porcupine.Event
	// The operation that each process has in flight.
	open map[int]call
	// Operations known to have had no effect and to have seen nothing.
	dropped map[int]bool
	next    int
}

type call struct {
	id      int
	process int
	input   interface{}
}

func newHistory() *history {
	return &history{open: make(map[int]call), dropped: make(map[int]bool)}
}

func (h *history) begin(process int, input interface{}) error {
	if _, busy := h.open[process]; busy {
		return errors.New("the process still has an operation in flight")
	}
	h.open[process] = call{id: h.next, process: process, input: input}
	h.events = append(h.events, porcupine.Event{
		ClientId: process, Kind: porcupine.CallEvent, Value: input, Id: h.next,
	})
	h.next++
	return nil
}

// current is the operation that the process has in flight.
func (h *history) current(process int) (call, error) {
	current, busy := h.open[process]
	if !busy {
		return call{}, errors.New("the process has no operation in flight")
	}
	return current, nil
}

func (h *history) end(current call, output interface{}) {
	delete(h.open, current.process)
	h.events = append(h.events, porcupine.Event{
		ClientId: current.process, Kind: porcupine.ReturnEvent, Value: output, Id: current.id,
	})
}

func (h *history) drop(current call) {
	delete(h.open, current.process)
	h.dropped[current.id] = true
}

// finish gives operations of unknown outcome a return after everything else, so that they may take effect at any time
// after their call, or last, where nobody sees it. unfinished says what such an operation returns, or that it can be
// left out because it changes nothing.
func (h *history) finish(unfinished func(input interface{}) (output interface{}, keep bool)) []porcupine.Event {
	rest := make([]call, 0, len(h.open))
	for _, current := range h.open {
		rest = append(rest, current)
	}
	sort.Slice(rest, func(i, j int) bool { return rest[i].id < rest[j].id })
	for _, current := range rest {
		if output, keep := unfinished(current.input); keep {
			h.end(current, output)
		} else {
			h.drop(current)
		}
	}
	events := make([]porcupine.Event, 0, len(h.events))
	for _, event := range h.events {
		if !h.dropped[event.Id] {
			events = append(events, event)
		}
	}
	return events
}
