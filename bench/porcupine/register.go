package main

import (
	"errors"
	"regexp"
	"strconv"

	"github.com/anishathalye/porcupine"
)

// A compare-and-set register as Jepsen's etcd test logged it:
//
//	INFO  jepsen.util - 3	:invoke	:cas	[1 2]

type registerKind uint8

const (
	registerRead registerKind = iota
	registerWrite
	registerCas
)

type registerInput struct {
	kind registerKind
	from int // what cas expects
	to   int // what write and cas set
}

type registerOutput struct {
	unknown bool
	success bool // of a cas
	value   int  // of a read
}

// absent is the state before the first write; a read that returned nil saw it.
const absent = -1

// registerModel has no hash of the state: with the few values of these logs, computing it costs more than it saves.
var registerModel = porcupine.Model{
	Init: func() interface{} { return absent },
	Step: func(state, input, output interface{}) (bool, interface{}) {
		value, in, out := state.(int), input.(registerInput), output.(registerOutput)
		switch in.kind {
		case registerRead:
			return out.value == value, state
		case registerWrite:
			return true, in.to
		default:
			// A failed cas saw another value than it expected.
			if in.from != value {
				return out.unknown || !out.success, state
			}
			return out.unknown || out.success, in.to
		}
	},
}

var (
	registerLine = regexp.MustCompile(`^INFO\s+jepsen\.util\s+-\s+(\d+)\s+:(\w+)\s+:(\w+)\s+(.+)$`)
	casArguments = regexp.MustCompile(`^\[(\d+)\s+(\d+)\]$`)
)

func parseRegister(history *history, line string) error {
	fields := registerLine.FindStringSubmatch(line)
	if fields == nil {
		return errors.New("not a line of a register's log")
	}
	process, err := strconv.Atoi(fields[1])
	if err != nil {
		return err
	}
	kind, function, value := fields[2], fields[3], fields[4]
	if kind == "invoke" {
		input, err := registerCall(function, value)
		if err != nil {
			return err
		}
		return history.begin(process, input)
	}
	current, err := history.current(process)
	if err != nil {
		return err
	}
	if name := [...]string{"read", "write", "cas"}[current.input.(registerInput).kind]; name != function {
		return errors.New("the process has another operation in flight")
	}
	return registerReturn(history, current, kind+" "+function, value)
}

func registerCall(function, value string) (registerInput, error) {
	switch function {
	case "read":
		return registerInput{kind: registerRead}, nil
	case "write":
		to, err := strconv.Atoi(value)
		return registerInput{kind: registerWrite, to: to}, err
	case "cas":
		arguments := casArguments.FindStringSubmatch(value)
		if arguments == nil {
			return registerInput{}, errors.New("cas wants two numbers")
		}
		from, err := strconv.Atoi(arguments[1])
		if err != nil {
			return registerInput{}, err
		}
		to, err := strconv.Atoi(arguments[2])
		return registerInput{kind: registerCas, from: from, to: to}, err
	default:
		return registerInput{}, errors.New("unknown operation")
	}
}

func registerReturn(history *history, current call, what, value string) error {
	timedOut := value == ":timed-out"
	switch {
	case what == "ok read" && value == "nil":
		history.end(current, registerOutput{value: absent})
	case what == "ok read":
		seen, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		history.end(current, registerOutput{value: seen})
	case what == "fail read" && timedOut:
		history.drop(current)
	case what == "ok write" && !timedOut:
		history.end(current, registerOutput{})
	case (what == "ok cas" || what == "fail cas") && !timedOut:
		history.end(current, registerOutput{success: what == "ok cas"})
	case what == "info write" || what == "info cas":
		// It stays in flight to the end; the log does not use the process again.
	default:
		return errors.New("unknown outcome")
	}
	return nil
}

func unfinishedRegister(input interface{}) (interface{}, bool) {
	return registerOutput{unknown: true}, input.(registerInput).kind != registerRead
}
