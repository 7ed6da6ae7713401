package engine

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"hyperlight/engine/model"
)

// recordingFile reads the lines of a recording or an archive: plain, gzip or zstd.
type recordingFile struct {
	file  *os.File
	size  int64
	read  atomic.Int64
	lines *bufio.Reader
	buf   []byte

	unpack func() // frees the decoder; nil for none
}

func openRecording(name string) (*recordingFile, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	r := &recordingFile{file: f}
	if info, err := f.Stat(); err == nil {
		r.size = info.Size()
	}
	counted := io.TeeReader(f, countingWriter{&r.read})
	head := bufio.NewReaderSize(counted, 256<<10)
	var body io.Reader = head
	if magic, _ := head.Peek(4); bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		z, err := zstd.NewReader(head, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open zstd: %w", err), f.Close())
		}
		r.unpack = z.Close
		body = z
	} else if len(magic) >= 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(head)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%w: %w", errNotGzip, err), f.Close())
		}
		body = z
	}
	r.lines = bufio.NewReaderSize(body, 1<<20)
	return r, nil
}

type countingWriter struct{ n *atomic.Int64 }

func (c countingWriter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// next returns the next line without its end; it is valid until the next call.
func (r *recordingFile) next() ([]byte, error) {
	line, err := r.lines.ReadSlice('\n')
	if err == nil {
		return line[:len(line)-1], nil
	}
	r.buf = append(r.buf[:0], line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(r.buf) > longestLine {
			return nil, r.skipLine()
		}
		line, err = r.lines.ReadSlice('\n')
		r.buf = append(r.buf, line...)
	}
	if err == io.EOF && len(r.buf) > 0 {
		return r.buf, nil
	}
	return bytes.TrimSuffix(r.buf, []byte{'\n'}), err
}

// skipLine passes over the rest of a line that is too long and returns errLongLine, or why the file ends inside it.
func (r *recordingFile) skipLine() error {
	for {
		switch _, err := r.lines.ReadSlice('\n'); {
		case errors.Is(err, bufio.ErrBufferFull):
		case err == nil, err == io.EOF:
			return errLongLine
		default:
			return err
		}
	}
}

func (r *recordingFile) position() int64 { return r.read.Load() }

func (r *recordingFile) close() {
	if r.unpack != nil {
		r.unpack()
	}
	_ = r.file.Close() // only read from
}

// head returns the beginning of a file of which nothing was read yet.
func (r *recordingFile) head() []byte {
	head, _ := r.lines.Peek(peekBytes) // fewer bytes in a short file
	return head
}

// recordingZone compares the zoneless clock of a recording with the venue's own time in its first frame that shows one;
// 0, which means UTC, where there is none.
func recordingZone(name string) model.Micros {
	f, err := openRecording(name)
	if err != nil {
		return 0
	}
	defer f.close()
	for range zoneLines {
		line, err := f.next()
		if err != nil {
			return 0
		}
		l, err := parseRecordedLine(line)
		if err != nil || !l.localTime {
			continue
		}
		if t, ok := frameTime(l.frame); ok {
			return zoneOffset(l.recv, t)
		}
	}
	return 0
}

// frameTime finds the newest venue time in a frame that was sent at about that time: of a book or of statistics, or an
// update of trades. The first frame of a trade channel repeats the past and shows nothing.
func frameTime(frame []byte) (newest model.Millis, ok bool) {
	has := func(text string) bool { return bytes.Contains(frame, []byte(text)) }
	if !has(`"channel":"order_book`) && !has(`"channel":"market_stats`) && !has(`"type":"update/trade"`) {
		return 0, false
	}
	const member = `"timestamp":`
	for rest := frame; ; {
		i := bytes.Index(rest, []byte(member))
		if i < 0 {
			return newest, newest > 1e12
		}
		rest = bytes.TrimLeft(rest[i+len(member):], " ")
		var t model.Millis
		for n := 0; n < len(rest) && n < 16 && rest[n] >= '0' && rest[n] <= '9'; n++ {
			t = t*10 + model.Millis(rest[n]-'0')
		}
		if t < 1e14 { // milliseconds, until the year 5138
			newest = max(newest, t)
		}
	}
}
