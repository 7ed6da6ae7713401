package engine

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"hyperlight/engine/model"
)

// A recorded line is a frame as the venue sent it, or an object around one: {"seq","recv_us","msg"} or
// {"captured_at","frame"}. Wrapper members may come in any order and unknown ones are skipped.

// errWrapper reports a line that is no JSON object, or ends inside one.
var errWrapper = errors.New("line is not a whole JSON object")

// recordedLine is a line taken apart. frame shares the line's memory.
type recordedLine struct {
	frame []byte
	recv  model.Micros // 0 where the line has no receive time: the frame's venue time counts then
	// localTime says that recv came from a text without a zone: it is right up to a multiple of a quarter hour.
	localTime bool
}

// parseRecordedLine takes a line apart without copying it.
func parseRecordedLine(line []byte) (recordedLine, error) {
	line = bytes.TrimSpace(line)
	if len(line) < 2 || line[0] != '{' || line[len(line)-1] != '}' {
		return recordedLine{}, errWrapper
	}
	var out recordedLine
	for i := 1; ; {
		i = skipSpace(line, i)
		if i < len(line) && line[i] == '}' {
			break
		}
		name, next, ok := quoted(line, i)
		if !ok {
			return recordedLine{}, errWrapper
		}
		i = skipSpace(line, next)
		if i >= len(line) || line[i] != ':' {
			return recordedLine{}, errWrapper
		}
		start := skipSpace(line, i+1)
		end, ok := valueEnd(line, start)
		if !ok {
			return recordedLine{}, errWrapper
		}
		value := line[start:end]
		switch string(name) {
		case "type", "channel", "session_id", "error":
			// Members of a bare frame: a wrapper has none of them, and a frame has no wrapper's.
			return recordedLine{frame: line}, nil
		case "msg", "frame":
			out.frame = value
		case "recv_us":
			us, err := strconv.ParseInt(string(value), 10, 64)
			if err != nil {
				return recordedLine{}, fmt.Errorf("recv_us must be an integer: %w", err)
			}
			out.recv = model.Micros(us)
		case "captured_at":
			t, local, err := parseCapturedAt(bytes.Trim(value, `"`))
			if err != nil {
				return recordedLine{}, err
			}
			out.recv, out.localTime = t, local
		}
		i = skipSpace(line, end)
		if i < len(line) && line[i] == ',' {
			i++
		} else if i >= len(line) || line[i] != '}' {
			return recordedLine{}, errWrapper
		}
	}
	if out.frame == nil {
		return recordedLine{frame: line}, nil
	}
	if out.frame[0] != '{' {
		return recordedLine{}, errors.New("the wrapped frame is not an object")
	}
	return out, nil
}

func parseCapturedAt(text []byte) (model.Micros, bool, error) {
	s := string(text)
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return model.Micros(t.UnixMicro()), false, nil
	}
	t, err := time.Parse("2006-01-02T15:04:05.999999999", s)
	if err != nil {
		return 0, false, errors.New("captured_at must be an RFC 3339 time, with or without a zone")
	}
	return model.Micros(t.UnixMicro()), true, nil
}

// zoneOffset guesses the zone of a recorder that wrote local time: the difference to the venue's own clock, rounded
// to the quarter hours in which zones come.
func zoneOffset(recv model.Micros, venue model.Millis) model.Micros {
	const quarter = 15 * 60 * 1_000_000
	diff := int64(recv - venue.Micros())
	half := int64(quarter / 2)
	if diff < 0 {
		half = -half
	}
	return model.Micros((diff + half) / quarter * quarter)
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// quoted returns the text of the JSON string at i, escapes left as they are, and the index behind it.
func quoted(b []byte, i int) (text []byte, next int, ok bool) {
	if i >= len(b) || b[i] != '"' {
		return nil, 0, false
	}
	for j := i + 1; j < len(b); j++ {
		switch b[j] {
		case '\\':
			j++
		case '"':
			return b[i+1 : j], j + 1, true
		}
	}
	return nil, 0, false
}

// valueEnd returns the index behind the JSON value at i. It balances brackets and leaves the grammar inside to the
// frame decoder.
func valueEnd(b []byte, i int) (int, bool) {
	if i >= len(b) {
		return 0, false
	}
	switch b[i] {
	case '"':
		_, next, ok := quoted(b, i)
		return next, ok
	case '{', '[':
		depth := 0
		for j := i; j < len(b); j++ {
			switch b[j] {
			case '"':
				_, next, ok := quoted(b, j)
				if !ok {
					return 0, false
				}
				j = next - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return j + 1, true
				}
			}
		}
		return 0, false
	}
	for j := i; j < len(b); j++ {
		switch b[j] {
		case ',', '}', ']', ' ', '\t', '\r', '\n':
			return j, j > i
		}
	}
	return 0, false
}
