package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// longestMessage bounds a message: the largest is a whole book of a thousand levels a side.
const longestMessage = 1 << 20

// answer is what a replay has brought.
type answer struct {
	messages, trades, books int // events; books are whole ones, and updates where they were asked for
	bytes                   int // of their texts
	first                   time.Duration
	took                    time.Duration // from the first event to the last
}

func (a *answer) add(b answer) {
	a.messages, a.trades, a.books, a.bytes = a.messages+b.messages, a.trades+b.trades, a.books+b.books, a.bytes+b.bytes
	a.took += b.took
}

// socket is a WebSocket of the client, which is the same for both sides. It reads without copying and takes no message apart.
type socket struct {
	conn net.Conn
	r    *bufio.Reader
	size int // of the message read last, which is still in the buffer
}

func dial(addr, path string) (*socket, error) {
	conn, err := net.Dial("tcp4", addr)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	s := &socket{conn: conn, r: bufio.NewReaderSize(conn, longestMessage+16)}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, addr)
	answer, err := http.ReadResponse(s.r, nil)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open socket: %w", err), conn.Close())
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return nil, errors.Join(fmt.Errorf("open socket: %s", answer.Status), conn.Close())
	}
	return s, nil
}

// say sends a short text; the mask of zeros leaves it as it is.
func (s *socket) say(text string) error {
	head := []byte{0x81, 0x80 | 126, byte(len(text) >> 8), byte(len(text)), 0, 0, 0, 0}
	_, err := s.conn.Write(append(head, text...))
	return err
}

// next returns the next text, which is valid until the one after it, and io.EOF behind the last.
func (s *socket) next() ([]byte, error) {
	for {
		if _, err := s.r.Discard(s.size); err != nil {
			return nil, err
		}
		s.size = 0
		head, err := s.r.Peek(2)
		if err != nil {
			return nil, err
		}
		kind, short, size, skip := head[0], head[1], 0, 2
		switch short {
		case 126:
			skip = 4
		case 127:
			skip = 10
		default:
			size = int(short)
		}
		if head, err = s.r.Peek(skip); err != nil {
			return nil, err
		}
		switch short {
		case 126:
			size = int(binary.BigEndian.Uint16(head[2:]))
		case 127:
			size = int(binary.BigEndian.Uint64(head[2:]))
		}
		if size > longestMessage {
			return nil, fmt.Errorf("message of %d bytes", size)
		}
		if _, err := s.r.Discard(skip); err != nil {
			return nil, err
		}
		text, err := s.r.Peek(size)
		if err != nil {
			return nil, err
		}
		s.size = size
		switch kind {
		case 0x81:
			return text, nil
		case 0x88:
			if size < 2 || binary.BigEndian.Uint16(text) == 1000 {
				return nil, io.EOF
			}
			return nil, fmt.Errorf("socket closed: %s", text[2:])
		case 0x89, 0x8a:
		default:
			return nil, fmt.Errorf("frame of kind %#x", kind)
		}
	}
}

// words are how a side begins its messages. Everything else is no event.
type words struct{ trade, book string }

// read counts events until the message that says so or the end of the socket, at most so many where most is not 0, and
// shows each to see unless that is nil.
func (s *socket) read(began time.Time, w *words, end string, most int, see func([]byte) error) (a answer, err error) {
	trade, book, stop := []byte(w.trade), []byte(w.book), []byte(end)
	var first, last time.Time
	for {
		text, err := s.next()
		if err == io.EOF || err == nil && end != "" && bytes.HasPrefix(text, stop) {
			break
		}
		if err != nil {
			return a, err
		}
		switch {
		case bytes.HasPrefix(text, trade):
			a.trades++
		case bytes.HasPrefix(text, book):
			a.books++
		case bytes.HasPrefix(text, []byte(`{"count":`)): // of a replay that was not sent
			if _, err := fmt.Sscanf(string(text), `{"count":%d,"bytes":%d}`, &a.messages, &a.bytes); err != nil {
				return a, err
			}
			last = time.Now()
			continue
		case bytes.Contains(text[:min(len(text), 40)], []byte(`"error"`)):
			return a, fmt.Errorf("answer %s", text)
		default:
			continue
		}
		if a.messages++; a.messages == 1 {
			first = time.Now()
		}
		a.bytes += len(text)
		if s.r.Buffered() <= s.size { // a clock for every message would be a good part of ours
			last = time.Now()
		}
		if see != nil {
			if err := see(text); err != nil {
				return a, err
			}
		}
		if a.messages == most {
			break
		}
	}
	if a.messages == 0 {
		return a, errors.New("no events")
	}
	if last.Before(first) || end != "" {
		last = time.Now()
	}
	a.first, a.took = first.Sub(began), last.Sub(first)
	return a, nil
}
