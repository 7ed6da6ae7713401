package sim

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// recorded is one line of a recording.
type recorded struct {
	at         int64  // us, when it was received; else the frame's own time
	channel    string // as the frame shows it
	frame      []byte // as the venue sent it
	subscribed bool   // answers a subscribe
	first      bool   // the first frame of its channel, and an answer: the state begins with it
}

const maxLine = 16 << 20

// readRecording reads a file of bare frames, {"seq","recv_us","msg"} or {"captured_at","frame"} lines, packed or not.
// It returns the frames that carry a channel, in order, and how many lines were none.
func readRecording(name string) (lines []recorded, bad int, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, fmt.Errorf("open recording: %w", err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, 0, fmt.Errorf("unpack recording %s: %w", name, err)
		}
		defer z.Close()
		r = z
	}
	scan := bufio.NewScanner(r)
	scan.Buffer(make([]byte, 1<<20), maxLine)
	seen := make(map[string]bool)
	var last int64
	for scan.Scan() {
		if len(strings.TrimSpace(scan.Text())) == 0 {
			continue
		}
		l, ok := parseLine([]byte(scan.Text()))
		if !ok {
			bad++
			continue
		}
		l.at = max(l.at, last) // a line without any time, or behind the clock, follows the line before it at once
		last = l.at
		l.first = l.subscribed && !seen[l.channel]
		seen[l.channel] = true
		lines = append(lines, l)
	}
	if err := scan.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, 0, fmt.Errorf("read recording %s: %w", name, err)
	}
	for i := range lines { // leading lines without a time belong to the first one that has it
		if lines[i].at != 0 {
			for j := range i {
				lines[j].at = lines[i].at
			}
			break
		}
	}
	return lines, bad, nil
}

// wrapper is any of the line forms.
type wrapper struct {
	RecvUS     int64           `json:"recv_us"`
	CapturedAt string          `json:"captured_at"`
	Msg        json.RawMessage `json:"msg"`
	Frame      json.RawMessage `json:"frame"`
	frameHead
}

// frameHead is what the player needs to know of a frame.
type frameHead struct {
	Channel   string `json:"channel"`
	Type      string `json:"type"`
	Timestamp int64  `json:"timestamp"`
	Updated   int64  `json:"last_updated_at"`
}

func parseLine(line []byte) (recorded, bool) {
	var w wrapper
	if json.Unmarshal(line, &w) != nil {
		return recorded{}, false
	}
	l := recorded{at: w.RecvUS, frame: line}
	if w.CapturedAt != "" {
		if t, err := time.Parse("2006-01-02T15:04:05.999999", w.CapturedAt); err == nil {
			l.at = t.UnixMicro() // a local time without its zone: differences are what counts
		}
	}
	for _, inner := range [2]json.RawMessage{w.Msg, w.Frame} {
		if len(inner) > 0 {
			l.frame, w.frameHead = inner, frameHead{}
			if json.Unmarshal(inner, &w.frameHead) != nil {
				return recorded{}, false
			}
		}
	}
	if w.Channel == "" {
		return recorded{}, false
	}
	if l.at == 0 {
		l.at = w.Timestamp * 1000
	}
	l.channel, l.subscribed = w.Channel, strings.HasPrefix(w.Type, "subscribed/")
	return l, true
}
