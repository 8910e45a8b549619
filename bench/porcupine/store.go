package main

import (
	"errors"
	"hash/maphash"
	"regexp"
	"strconv"
	"strings"

	"github.com/anishathalye/porcupine"
)

// A store of strings with get, put and append, as Porcupine's own test data logs it:
//
//	{:process 9, :type :invoke, :f :append, :key "0", :value "x 9 0 y"}

type storeKind uint8

const (
	storeGet storeKind = iota
	storePut
	storeAppend
)

var storeKinds = map[string]storeKind{"get": storeGet, "put": storePut, "append": storeAppend}

type storeInput struct {
	kind  storeKind
	key   string
	value string // what put sets and append adds
}

// storeOutput is what a get saw; a missing key reads as the empty string.
type storeOutput string

var seed = maphash.MakeSeed()

// storeModel is Porcupine's published model of this store: each key by itself, the state of a key its string. The hash
// of the state is what makes the large histories feasible for it.
var storeModel = porcupine.Model{
	PartitionEvent: byKey,
	Init:           func() interface{} { return "" },
	Step: func(state, input, output interface{}) (bool, interface{}) {
		in := input.(storeInput)
		switch in.kind {
		case storeGet:
			return string(output.(storeOutput)) == state.(string), state
		case storePut:
			return true, in.value
		default:
			return true, state.(string) + in.value
		}
	},
	Hash: func(state interface{}) uint64 { return maphash.String(seed, state.(string)) },
}

func byKey(events []porcupine.Event) [][]porcupine.Event {
	var parts [][]porcupine.Event
	part := make(map[string]int)
	owner := make(map[int]int)
	for _, event := range events {
		if event.Kind == porcupine.CallEvent {
			key := event.Value.(storeInput).key
			if _, known := part[key]; !known {
				part[key] = len(parts)
				parts = append(parts, nil)
			}
			owner[event.Id] = part[key]
		}
		at := owner[event.Id]
		parts[at] = append(parts[at], event)
	}
	return parts
}

var storeLine = regexp.MustCompile(
	`^\{:process (\d+), :type :(invoke|ok), :f :(get|put|append), :key "([^"\\]*)", :value (nil|"[^"\\]*")\}$`)

func parseStore(history *history, line string) error {
	fields := storeLine.FindStringSubmatch(line)
	if fields == nil {
		return errors.New("not a line of a store's log")
	}
	process, err := strconv.Atoi(fields[1])
	if err != nil {
		return err
	}
	invoked, kind, key := fields[2] == "invoke", storeKinds[fields[3]], fields[4]
	value := strings.Trim(strings.TrimPrefix(fields[5], "nil"), `"`)
	if (fields[5] == "nil") != (invoked && kind == storeGet) {
		return errors.New("the call of a get has no value, everything else has one")
	}
	if invoked {
		return history.begin(process, storeInput{kind: kind, key: key, value: value})
	}
	current, err := history.current(process)
	if err != nil {
		return err
	}
	if in := current.input.(storeInput); in.kind != kind || in.key != key {
		return errors.New("the process has another operation in flight")
	}
	history.end(current, storeOutput(value))
	return nil
}

func unfinishedStore(input interface{}) (interface{}, bool) {
	return storeOutput(""), input.(storeInput).kind != storeGet
}
