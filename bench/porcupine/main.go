// Command porcupine-check judges one recorded history with Porcupine, to measure it beside Quorate's own checkers.
//
// It prints one line, "<milliseconds> <valid|invalid|unknown>". The time is that of the check alone: the file has been
// read and parsed before the clock starts. After a minute the verdict is unknown. A line that it does not understand is
// an error (exit code 1), since a history with a hole in it must not get a verdict.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

const timeout = 60 * time.Second

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: porcupine-check HISTORY")
		os.Exit(2)
	}
	model, events, err := read(os.Args[1])
	if err != nil {
		fmt.Fprintf(os.Stderr, "porcupine-check: %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
	// What the parser left behind is not the check's to collect.
	runtime.GC()
	start := time.Now()
	result := porcupine.CheckEventsTimeout(model, events, timeout)
	elapsed := time.Since(start)
	fmt.Printf("%.4f %s\n", float64(elapsed.Nanoseconds())/1e6, verdict(result))
}

func verdict(result porcupine.CheckResult) string {
	switch result {
	case porcupine.Ok:
		return "valid"
	case porcupine.Illegal:
		return "invalid"
	default:
		return "unknown"
	}
}

// read tells the two formats apart by the first line: a map of a key-value log, or a line of Jepsen's log.
func read(path string) (porcupine.Model, []porcupine.Event, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return porcupine.Model{}, nil, err
	}
	lines := strings.Split(string(content), "\n")
	model, parse, unfinished := registerModel, parseRegister, unfinishedRegister
	if strings.HasPrefix(lines[0], "{") {
		model, parse, unfinished = storeModel, parseStore, unfinishedStore
	}
	history := newHistory()
	for number, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if err := parse(history, line); err != nil {
			return porcupine.Model{}, nil, fmt.Errorf("line %d: %w: %q", number+1, err, line)
		}
	}
	events := history.finish(unfinished)
	if len(events) == 0 {
		return porcupine.Model{}, nil, fmt.Errorf("no operation in it")
	}
	return model, events, nil
}
