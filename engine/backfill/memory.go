package backfill

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// cause says why nothing before a moment is to be had.
type cause uint8

const (
	causeNone    cause = iota
	causeEnd           // the venue has nothing older
	causeRefused       // the venue refuses the call
)

var causes = [...]string{"none", "venue_end", "venue_refused"}

// String returns the word that reports show.
func (c cause) String() string {
	if int(c) < len(causes) {
		return causes[c]
	}
	return causes[causeNone]
}

const (
	// endHolds and refusedHolds are how long what was learned is believed: a venue may take its data back online.
	endHolds     = 7 * 24 * time.Hour
	refusedHolds = time.Hour
	// maxMarks bounds the places of a market's tape that are remembered.
	maxMarks = 16
	// maxCursor bounds the cursor of a place; a venue with longer ones is walked from the newest trade each time.
	maxCursor = 512
	// memoryPrefix begins the names of the meta rows that hold the memory.
	memoryPrefix  = "backfill/"
	memoryVersion = 1
)

// errMemory reports bytes that append did not write.
var errMemory = errors.New("damaged backfill memory")

// mark is a place in the venue's tape: the page behind the cursor holds the trades before time.
type mark struct {
	time   model.Millis
	cursor string
}

// memory is what was learned of a record at the venue. It only saves calls: the coverage says what is done.
type memory struct {
	floor model.Millis // nothing before it is to be had
	cause cause
	until model.Millis // how long that is believed
	marks []mark       // ascending by time, each time once
}

// append encodes a memory.
func (m *memory) append(dst []byte) []byte {
	dst = append(dst, memoryVersion, byte(m.cause))
	dst = binary.AppendUvarint(dst, uint64(m.floor))
	dst = binary.AppendUvarint(dst, uint64(m.until))
	dst = binary.AppendUvarint(dst, uint64(len(m.marks)))
	last := model.Millis(0)
	for _, k := range m.marks {
		dst = binary.AppendUvarint(dst, uint64(k.time-last))
		last = k.time
		dst = binary.AppendUvarint(dst, uint64(len(k.cursor)))
		dst = append(dst, k.cursor...)
	}
	return dst
}

// decodeMemory reads what append wrote; any other bytes are errMemory.
func decodeMemory(b []byte) (*memory, error) {
	if len(b) < 2 || b[0] != memoryVersion || b[1] >= byte(len(causes)) {
		return nil, errMemory
	}
	m := &memory{cause: cause(b[1])}
	b = b[2:]
	failed := false
	next := func() int64 {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > 1<<62 || n > 1 && b[n-1] == 0 {
			failed = true
			return 0
		}
		b = b[n:]
		return int64(v)
	}
	m.floor, m.until = model.Millis(next()), model.Millis(next())
	count := next()
	if failed || count > maxMarks {
		return nil, errMemory
	}
	last := model.Millis(0)
	for i := range count {
		step, length := model.Millis(next()), int64(0)
		if !failed {
			length = next()
		}
		last += step
		if failed || length > maxCursor || length == 0 || length > int64(len(b)) || last < 0 || i > 0 && step == 0 {
			return nil, errMemory
		}
		m.marks = append(m.marks, mark{time: last, cursor: string(b[:length])})
		b = b[length:]
	}
	if len(b) != 0 {
		return nil, errMemory
	}
	return m, nil
}

func memoryName(at recordKey) string {
	return memoryPrefix + strconv.Itoa(int(at.kind)) + "/" + strconv.FormatUint(uint64(at.market), 10)
}

func parseMemoryName(name string) (at recordKey, ok bool) {
	kind, mkt, ok := strings.Cut(strings.TrimPrefix(name, memoryPrefix), "/")
	k, err1 := strconv.ParseUint(kind, 10, 8)
	m, err2 := strconv.ParseUint(mkt, 10, 32)
	return recordKey{model.Kind(k), model.MarketID(m)}, ok && err1 == nil && err2 == nil
}

// loadMemory reads what earlier runs learned. A row that cannot be read is forgotten: it costs a few calls.
func loadMemory(store *kv.Store) (map[recordKey]*memory, error) {
	out := map[recordKey]*memory{}
	r, err := key.NewRange(key.MetaRow(nil, memoryPrefix), key.MetaRow(nil, memoryPrefix[:len(memoryPrefix)-1]+"0"))
	if err != nil {
		return nil, fmt.Errorf("range of backfill memory: %w", err)
	}
	for row, err := range store.Scan(context.Background(), r) {
		if err != nil {
			return nil, fmt.Errorf("read backfill memory: %w", err)
		}
		name, err := key.ParseMeta(row.Key)
		if err != nil {
			return nil, fmt.Errorf("read backfill memory: %w", err)
		}
		at, ok := parseMemoryName(name)
		m, err := decodeMemory(row.Value)
		if ok && err == nil {
			out[at] = m
		}
	}
	return out, nil
}

// change changes a record's memory and saves it. The row need not be on disk at once, and a store that is full keeps none.
func (s *Service) change(at recordKey, f func(*memory)) {
	s.mu.Lock()
	m := s.memory[at]
	if m == nil {
		m = &memory{}
		s.memory[at] = m
	}
	f(m)
	row := m.append(nil)
	s.mu.Unlock()
	b := s.o.Store.NewBatch()
	b.Set(key.MetaRow(nil, memoryName(at)), row)
	if err := s.o.Store.Commit(b, kv.NoSync); err != nil {
		s.log.Warn("backfill memory cannot be saved", "error", err)
	}
}

// learn notes that nothing of a record before a moment is to be had for now.
func (s *Service) learn(at recordKey, floor model.Millis, c cause) {
	holds := endHolds
	if c == causeRefused {
		holds = refusedHolds
	}
	now := s.o.Now()
	s.change(at, func(m *memory) {
		m.floor, m.cause, m.until = max(floor, 0), c, model.Millis(now.Add(holds).UnixMilli())
	})
	s.log.Info("the venue has nothing older", "market_id", at.market, "kind", at.kind, "before", floor, "cause", c)
}

// nearest returns the earliest place that is not before a moment, false where there is none.
func (s *Service) nearest(at recordKey, t model.Millis) (mark, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.memory[at]
	if m == nil {
		return mark{}, false
	}
	i, _ := slices.BinarySearchFunc(m.marks, t, func(k mark, t model.Millis) int { return cmp.Compare(k.time, t) })
	if i == len(m.marks) {
		return mark{}, false
	}
	return m.marks[i], true
}

// mark remembers where a walk has come to, in place of where it was.
func (s *Service) mark(at recordKey, now, was mark) {
	if len(now.cursor) > maxCursor {
		return
	}
	s.change(at, func(m *memory) {
		m.marks = slices.DeleteFunc(m.marks, func(k mark) bool { return k == was || k.time == now.time })
		i, _ := slices.BinarySearchFunc(m.marks, now.time, func(k mark, t model.Millis) int { return cmp.Compare(k.time, t) })
		m.marks = slices.Insert(m.marks, i, now)
		if len(m.marks) > maxMarks {
			m.marks = m.marks[:maxMarks] // the newest is the one that is nearest to the tape's end
		}
	})
}

// dropMark forgets a place.
func (s *Service) dropMark(at recordKey, was mark) {
	s.change(at, func(m *memory) { m.marks = slices.DeleteFunc(m.marks, func(k mark) bool { return k == was }) })
}
