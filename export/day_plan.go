package export

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/lake"
	"hyperlight/engine/model"
)

// settleTime is how long after midnight the files of the day before are made: rows of its last moments have come by then.
const settleTime = 10 * time.Minute

// dayTask is a file that can be made.
type dayTask struct {
	id      lake.ID
	market  *model.Market // nil: all
	source  [sha256.Size]byte
	thinned bool  // what is left of the day is coarser than it was
	gaps    []Gap // the rows, of that dataset
}

// finished returns the end of the last day that files are made of.
func finished(now time.Time) model.Millis {
	return lake.DayOf(model.Millis(now.Add(-settleTime).UnixMilli()))
}

// plan returns the files that can be made of what is stored, by (day, dataset, market): the newest day last.
func (l *Lake) plan(ctx context.Context, r MakeRequest) ([]dayTask, error) {
	sp := history.Span{From: max(lake.DayOf(r.From), 0), To: finished(l.o.Now())}
	if r.To > 0 {
		sp.To = min(sp.To, lake.DayOf(r.To-1)+lake.DayMillis)
	}
	if sp.From >= sp.To {
		return nil, nil
	}
	p := planner{l: l, ctx: ctx, sp: sp, datasets: r.Datasets, markets: l.o.Markets(), wanted: r.Markets, byID: map[model.MarketID]*model.Market{}}
	if len(p.datasets) == 0 {
		p.datasets = lake.Datasets[:]
	}
	for _, m := range p.markets {
		if m.Native >= 0 && m.Native <= math.MaxInt32 {
			p.byID[m.ID] = m
			p.ids = append(p.ids, m.ID)
		}
	}
	if err := p.plan(); err != nil {
		return nil, fmt.Errorf("look for days to export: %w", err)
	}
	slices.SortStableFunc(p.tasks, func(a, b dayTask) int { return int(min(max(a.id.Day-b.id.Day, -1), 1)) })
	return p.tasks, nil
}

type planner struct {
	l        *Lake
	ctx      context.Context
	sp       history.Span
	datasets []Dataset
	markets  []*model.Market
	wanted   []int64 // empty: all
	byID     map[model.MarketID]*model.Market
	ids      []model.MarketID
	tasks    []dayTask
}

func (p *planner) has(d Dataset) bool { return slices.Contains(p.datasets, d) }

func (p *planner) plan() error {
	for _, part := range []struct {
		kind     model.Kind
		datasets []Dataset
	}{
		{model.KindTrades, []Dataset{Trades}}, {model.KindBook, []Dataset{Snapshots, BookUpdates}}, {model.KindCandles, []Dataset{Candles}},
		{model.KindFunding, []Dataset{FundingRates}},
	} {
		part.datasets = slices.DeleteFunc(part.datasets, func(d Dataset) bool { return !p.has(d) })
		if len(part.datasets) == 0 {
			continue
		}
		var days []history.StoredDay
		if err := p.l.source.reading(p.ctx, func() (err error) {
			days, err = p.l.o.History.StoredDays(p.ctx, part.kind, p.ids, p.sp)
			return err
		}); err != nil {
			return err
		}
		if part.kind == model.KindFunding {
			p.funding(days)
			continue
		}
		for _, day := range days {
			m := p.byID[day.Market]
			if len(p.wanted) > 0 && !slices.Contains(p.wanted, m.Native) {
				continue
			}
			for _, d := range part.datasets {
				p.tasks = append(p.tasks, dayTask{id: lake.ID{Dataset: d, Market: m.Native, Day: day.Day}, market: m,
					source: digest(d, symbolOf(m), day.Digest[:]), thinned: day.Thinned})
			}
		}
	}
	if p.has(Gaps) {
		return p.gaps()
	}
	return nil
}

// symbolOf is part of what a file is made of: of a market that is called otherwise the files are made again.
func symbolOf(m *model.Market) []byte { return []byte(m.Symbol) }

// digest sums parts up, each with its length.
func digest(d Dataset, parts ...[]byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte(d))
	for _, part := range parts {
		h.Write(binary.AppendUvarint(nil, uint64(len(part))))
		h.Write(part)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// funding joins the days of the markets, which stand together, to days of all.
func (p *planner) funding(days []history.StoredDay) {
	for len(days) > 0 {
		n := 1
		for n < len(days) && days[n].Day == days[0].Day {
			n++
		}
		var parts [][]byte
		for _, one := range days[:n] {
			m := p.byID[one.Market]
			parts = append(parts, binary.AppendVarint(nil, m.Native), symbolOf(m), one.Digest[:])
		}
		p.tasks = append(p.tasks, dayTask{id: lake.ID{Dataset: FundingRates, Market: lake.AllMarkets, Day: days[0].Day}, source: digest(FundingRates, parts...)})
		days = days[n:]
	}
}

// gaps makes the rows at once: the days that have any are known only then.
func (p *planner) gaps() error {
	h, err := p.l.source.holes(p.ctx, p.markets, p.sp)
	if err != nil {
		return err
	}
	for day := h.first(p.sp); day < p.sp.To; day += lake.DayMillis {
		sp := history.Span{From: day, To: day + lake.DayMillis}
		rows, err := h.rows(sp)
		if err != nil {
			return err
		}
		if len(rows) == 0 && !h.held(sp) {
			continue // nothing is known of the day, or not any more
		}
		kept, err := h.keptIn(sp)
		if err != nil {
			return err
		}
		var text []byte
		for i := range rows {
			text = fmt.Appendln(text, rows[i])
		}
		p.tasks = append(p.tasks, dayTask{id: lake.ID{Dataset: Gaps, Market: lake.AllMarkets, Day: day}, source: digest(Gaps, text), gaps: rows,
			thinned: day < max(kept[0], kept[1], kept[2])})
	}
	return nil
}

// first returns the first day of a span of which anything is known; the span's end where nothing is.
func (h *holes) first(sp history.Span) model.Millis {
	first := sp.To.Micros()
	for i := range h.markets {
		for _, g := range h.markets[i].gaps {
			first = min(first, g.From)
		}
		for _, held := range h.markets[i].held {
			if len(held) > 0 {
				first = min(first, held[0].From)
			}
		}
	}
	return max(lake.DayOf(first.Millis()), sp.From)
}
