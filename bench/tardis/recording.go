package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"hyperlight/bench/tape"
	"hyperlight/engine/model"
)

// recorded is the real recording that both sides replay.
const recorded = "captures/binance-futures/ethusdt_20240808.gz"

// takeRecording transcodes the recording for us and writes it for the peer. Both get the trades, the whole book and
// the updates from it on, those that came before the book behind it: with neither is there a book before.
func takeRecording(dir, recordings string) (r *record, err error) {
	name := filepath.Join(recordings, recorded)
	m, err := tape.Market(name)
	if err != nil {
		return nil, err
	}
	r = &record{live: true, name: "recorded, " + m.Symbol, symbol: "ethusdt", market: m, file: filepath.Join(dir, "recorded.ndjson.gz")}
	f, err := os.Create(r.file)
	if err != nil {
		return nil, err
	}
	z := gzip.NewWriter(f)
	counts, err := tape.Transcode(z, name)
	if err = errors.Join(err, z.Close(), f.Close()); err != nil {
		return nil, err
	}
	r.trades, r.frames = counts.Trades, counts.Frames
	p := &recordingForPeer{r: r, peer: newCache(filepath.Join(dir, "cache"), r.symbol)}
	r.filters = p.peer.filters
	if err := errors.Join(p.take(name), p.peer.close()); err != nil {
		return nil, err
	}
	if p.peer.written != r.frames {
		return nil, fmt.Errorf("the peer has %d messages of the recording, we have %d frames", p.peer.written, r.frames)
	}
	return r, nil
}

// recordingForPeer turns the recorded lines into those of Tardis: the whole book, which came from REST, into a message of
// the stream that Tardis makes for it.
type recordingForPeer struct {
	r       *record
	peer    *cache
	book    uint64   // the last update in the whole book; 0 before it
	pending [][]byte // updates before it
}

func (p *recordingForPeer) take(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 4<<20)
	var recv model.Micros
	for lines.Scan() {
		at, message, _ := bytes.Cut(lines.Bytes(), []byte{' '})
		ns, err := strconv.ParseInt(string(at), 10, 64)
		if err != nil {
			return err
		}
		if recv == 0 {
			p.r.from = time.Unix(0, ns).UTC().Truncate(time.Minute)
		}
		recv = max(recv, model.Micros(ns/1000))
		if err := p.line(recv, message); err != nil {
			return err
		}
	}
	p.r.to = time.UnixMicro(int64(recv)).UTC().Truncate(time.Minute).Add(time.Minute)
	return lines.Err()
}

func (p *recordingForPeer) line(recv model.Micros, message []byte) error {
	switch {
	case bytes.Contains(message, []byte("@trade")):
		return p.peer.add(recv, message)
	case bytes.Contains(message, []byte("@depth")):
		if p.book == 0 {
			p.pending = append(p.pending, bytes.Clone(message))
			return nil
		}
		return p.update(recv, message)
	case bytes.HasPrefix(message, []byte(`{"lastUpdateId"`)):
		var whole struct{ LastUpdateID uint64 }
		if err := json.Unmarshal(message, &whole); err != nil {
			return err
		}
		p.book = whole.LastUpdateID
		if err := p.peer.add(recv, fmt.Appendf(nil, `{"stream":"%s@depthSnapshot","generated":true,"data":%s}`, p.r.symbol, message)); err != nil {
			return err
		}
		for _, u := range p.pending {
			if err := p.update(recv, u); err != nil {
				return err
			}
		}
	}
	return nil
}

// update leaves out what the whole book has in it.
func (p *recordingForPeer) update(recv model.Micros, message []byte) error {
	var frame struct {
		Data struct {
			First uint64 `json:"U"` // named, so that the next member is not taken for it
			Last  uint64 `json:"u"`
		}
	}
	if err := json.Unmarshal(message, &frame); err != nil {
		return err
	}
	if frame.Data.Last <= p.book {
		return nil
	}
	return p.peer.add(recv, message)
}
