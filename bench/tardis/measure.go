package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"hyperlight/bench/sides"
)

// kind is what is replayed.
type kind int

const (
	native  kind = iota // the venue's frames: trades, book updates
	seconds             // trades, and a book of 20 levels every second
)

func (k kind) String() string {
	return [...]string{"native frames: trades and book updates", "trades and one-second books of 20 levels"}[k]
}

// shortest is how long a side works in a turn: it replays until then.
const shortest = 500 * time.Millisecond

// request is a replay that is asked for: at most so many events where most is not 0, each shown to see unless that is nil.
type request struct {
	record   *record
	kind     kind
	from, to time.Time
	most     int
	see      func([]byte) error
}

// side is one of those that are compared.
type side struct {
	name   string
	pid    int
	margin time.Duration // to be asked for on both ends of a whole record
	replay func(*request) (answer, error)
}

// turn is what a side has done in one.
type turn struct {
	rate      float64 // events a second, from the first to the last
	processor float64 // microseconds an event, the whole replay
}

func measure(ctx context.Context, o *options, ours *server, peer *sides.Child, records []*record) error {
	theirs := func(how string) func(*request) (answer, error) {
		return func(q *request) (answer, error) { return replayPeer(peer.Addrs[0], how, q) }
	}
	all := []side{
		{"hyperlight", ours.cmd.Process.Pid, margin, func(q *request) (answer, error) { return replayOurs(ours.addr, q) }},
		{"tardis-dev behind ws", peer.Process(), 0, theirs("all")},
		{"the same, a write per message", peer.Process(), 0, theirs("each")},
		{"the same, nothing sent", peer.Process(), 0, theirs("none")},
	}
	fmt.Print("| replayed | by | trades | books | bytes/message | messages/s | processor µs/message | ours: times as fast | times by processor |\n" +
		"|---|---|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, r := range records {
		for _, k := range []kind{seconds, native} {
			if err := rates(ctx, o, all, r, k); err != nil {
				return err
			}
		}
	}
	fmt.Printf("\n| first event, from opening the socket on | by | p50 ms | slowest of %d, ms | ours: times as fast |\n"+
		"|---|---|---:|---:|---:|\n", o.firsts)
	for _, k := range []kind{seconds, native} {
		if err := firsts(ctx, o, all[:2], records[0], k); err != nil {
			return err
		}
	}
	return nil
}

// whole replays a record from end to end.
func (s *side) whole(r *record, k kind, see func([]byte) error) (answer, error) {
	return s.replay(&request{record: r, kind: k, from: r.from.Add(-s.margin), to: r.to.Add(s.margin), see: see})
}

// rates compares whole replays. The first of each side is not timed but looked at.
func rates(ctx context.Context, o *options, all []side, r *record, k kind) error {
	texts, err := agree(all[:2], r, k)
	if err != nil {
		return err
	}
	turns := make([][]turn, len(all))
	for range o.rounds {
		for i := range all {
			if err := ctx.Err(); err != nil {
				return err
			}
			t, err := all[i].turn(r, k, &texts[min(i, 1)])
			if err != nil {
				return err
			}
			turns[i] = append(turns[i], t)
		}
	}
	label, first := fmt.Sprintf("%s; %s", k, r.name), middle(turns[0])
	for i := range all {
		m, a := middle(turns[i]), texts[min(i, 1)]
		fmt.Printf("| %s | %s | %d | %d | %d | %.0f | %.2f | ", label, all[i].name, a.trades, a.books, a.bytes/a.messages, m.rate, m.processor)
		if label = ""; i == 0 {
			fmt.Print("| |\n")
			continue
		}
		fmt.Printf("%.1f | %.1f |\n", first.rate/m.rate, m.processor/first.processor)
	}
	return nil
}

// turn replays a record for a while and fails where it is not what it was at first.
func (s *side) turn(r *record, k kind, want *answer) (t turn, err error) {
	before, sum := sides.ProcessorTime(s.pid), answer{}
	for began := time.Now(); time.Since(began) < shortest; {
		a, err := s.whole(r, k, nil)
		if err != nil {
			return t, err
		}
		if a.messages != want.messages {
			return t, fmt.Errorf("%s: %d messages of %s, first %d", s.name, a.messages, r.name, want.messages)
		}
		sum.add(a)
	}
	processor := sides.ProcessorTime(s.pid) - before
	return turn{float64(sum.messages) / sum.took.Seconds(), float64(processor.Microseconds()) / float64(sum.messages)}, nil
}

// middle returns the medians of turns.
func middle(turns []turn) turn {
	mid := func(value func(turn) float64) float64 {
		var all []float64
		for _, t := range turns {
			all = append(all, value(t))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return turn{mid(func(t turn) float64 { return t.rate }), mid(func(t turn) float64 { return t.processor })}
}

// firsts compares the time from opening a socket to the first event of a replay from one of the record's minutes on.
func firsts(ctx context.Context, o *options, all []side, r *record, k kind) error {
	took := make([][]time.Duration, len(all))
	minutes := int(r.to.Sub(r.from) / time.Minute)
	for n := range o.firsts {
		from := r.from.Add(time.Duration(n*17%minutes) * time.Minute)
		for i := range all {
			if err := ctx.Err(); err != nil {
				return err
			}
			a, err := all[i].replay(&request{record: r, kind: k, from: from, to: from.Add(time.Minute), most: 1})
			if err != nil {
				return err
			}
			took[i] = append(took[i], a.first)
		}
	}
	label, ours := k.String(), 0.0
	for i := range all {
		slices.Sort(took[i])
		p50, slowest := sides.Millis(took[i][len(took[i])/2]), sides.Millis(took[i][len(took[i])-1])
		fmt.Printf("| %s | %s | %.2f | %.2f | ", label, all[i].name, p50, slowest)
		if label = ""; i == 0 {
			ours = p50
			fmt.Print("|\n")
			continue
		}
		fmt.Printf("%.0f |\n", p50/ours)
	}
	return nil
}
