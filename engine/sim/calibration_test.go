package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/num"
)

// figures are what the calibration compares. Binary floats are good enough for statistics.
type figures struct {
	levels           [2]int // bids, asks in the snapshot
	spread, distance []float64
	sizes, trades    []float64 // USD
	depth            map[int]float64
	added, changed   float64
	removed          float64
	perFrame         []float64 // trades
	reduced, traded  float64   // USD
	span             time.Duration

	book [2][]heldLevel // bids, asks, best first
}

func (l heldLevel) floats() (price, size float64) { return number(l.text[0]), number(l.text[1]) }

func (f *figures) best(s int) float64 {
	p, _ := f.book[s][0].floats()
	return p
}

// old returns the size held at a price.
func (f *figures) old(s int, price string) float64 {
	p, _ := num.ParseDecimal([]byte(price))
	order := 2*s - 1 // bids descend
	i := sort.Search(len(f.book[s]), func(i int) bool { return f.book[s][i].price.Cmp(p)*order >= 0 })
	if i == len(f.book[s]) || f.book[s][i].price.Cmp(p) != 0 {
		return 0
	}
	_, z := f.book[s][i].floats()
	return z
}

// take measures one frame of the market.
func (f *figures) take(frame []byte) {
	var v struct {
		Type string `json:"type"`
		Book struct {
			Asks, Bids []struct{ Price, Size string }
		} `json:"order_book"`
		Trades []struct {
			USD string `json:"usd_amount"`
		} `json:"trades"`
	}
	if json.Unmarshal(frame, &v) != nil {
		return
	}
	lists := [2][]struct{ Price, Size string }{v.Book.Bids, v.Book.Asks}
	switch v.Type {
	case "subscribed/order_book":
		f.book = [2][]heldLevel{}
		for s, list := range lists {
			f.levels[s] = len(list)
			for _, l := range list {
				f.book[s] = setLevel(f.book[s], l.Price, l.Size, 2*s-1)
			}
		}
		f.profile()
	case "update/order_book":
		best := [2]float64{f.best(0), f.best(1)}
		mid := (best[0] + best[1]) / 2
		for s, list := range lists {
			for _, l := range list {
				p, z, old := number(l.Price), number(l.Size), f.old(s, l.Price)
				f.distance = append(f.distance, math.Abs(p-best[s])/mid*1e4)
				switch {
				case z == 0:
					f.removed++
				case old == 0:
					f.added++
					f.sizes = append(f.sizes, p*z)
				default:
					f.changed++
				}
				f.reduced += max(0, old-z) * p
				f.book[s] = setLevel(f.book[s], l.Price, l.Size, 2*s-1)
			}
		}
		f.spread = append(f.spread, (f.best(1)-f.best(0))/mid*1e4)
	case "update/trade":
		if len(v.Trades) > 0 {
			f.perFrame = append(f.perFrame, float64(len(v.Trades)))
		}
		for _, t := range v.Trades {
			f.trades = append(f.trades, number(t.USD))
			f.traded += number(t.USD)
		}
	}
}

// profile measures how far from the mid price the n-th level stands, the mean of both sides.
func (f *figures) profile() {
	f.depth = map[int]float64{}
	mid := (f.best(0) + f.best(1)) / 2
	for _, n := range []int{10, 50, 200, 1000} {
		for s := range f.book {
			p, _ := f.book[s][min(n, len(f.book[s])-1)].floats()
			f.depth[n] += math.Abs(p-mid) / mid * 1e4 / 2
		}
	}
}

func number(text string) float64 {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return v
}

func at(list []float64, q float64) float64 {
	if len(list) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(list))
	return s[int(q*float64(len(s)-1))]
}

func mean(list []float64) float64 {
	sum := 0.0
	for _, v := range list {
		sum += v
	}
	return sum / float64(max(1, len(list)))
}

// rows are the lines of the table, with how far (as a factor) the simulator may be from the recording; 0 is not judged.
func (f *figures) rows() (names []string, values, slack []float64) {
	add := func(name string, v, tolerance float64) {
		names, values, slack = append(names, name), append(values, v), append(slack, tolerance)
	}
	all := f.added + f.changed + f.removed
	add("levels, bids", float64(f.levels[0]), 1.6)
	add("levels, asks", float64(f.levels[1]), 1.6)
	for _, n := range []int{10, 50, 200, 1000} {
		add(fmt.Sprintf("level %d, bps from mid", n), f.depth[n], 5)
	}
	add("level changes a second", all/f.span.Seconds(), 1.5)
	add("new levels, share", f.added/all, 1.5)
	add("changed levels, share", f.changed/all, 1.5)
	add("removed levels, share", f.removed/all, 1.5)
	add("cancels, share of reduced value", 1-f.traded/f.reduced, 1.2)
	add("spread mean, bps", mean(f.spread), 2.5)
	add("spread median, bps", at(f.spread, 0.5), 2.5)
	add("distance of a change, 25 %, bps", at(f.distance, 0.25), 3)
	add("distance of a change, 50 %, bps", at(f.distance, 0.5), 2.5)
	add("distance of a change, 75 %, bps", at(f.distance, 0.75), 2.5)
	add("distance of a change, 90 %, bps", at(f.distance, 0.9), 4)
	add("new level, 25 %, USD", at(f.sizes, 0.25), 5)
	add("new level, 50 %, USD", at(f.sizes, 0.5), 5)
	add("new level, 75 %, USD", at(f.sizes, 0.75), 3)
	add("new level, 90 %, USD", at(f.sizes, 0.9), 3)
	add("trades per 100 level changes", 100*float64(len(f.trades))/all, 3)
	add("trades per frame, mean", mean(f.perFrame), 1.6)
	add("trades per frame, 90 %", at(f.perFrame, 0.9), 2.1)
	add("trade, 25 %, USD", at(f.trades, 0.25), 2.5)
	add("trade, 50 %, USD", at(f.trades, 0.5), 2)
	add("trade, 90 %, USD", at(f.trades, 0.9), 2.5)
	add("trade, 99 %, USD", at(f.trades, 0.99), 4)
	return names, values, slack
}

// TestCalibration measures the recording and the simulator with one instrument and prints both (README.md quotes it).
func TestCalibration(t *testing.T) {
	lines, _, err := readRecording(feedtest.Recording(t, btcEth))
	if err != nil {
		t.Fatal(err)
	}
	span := time.Duration(lines[len(lines)-1].at-lines[0].at) * time.Microsecond
	real := [2]*figures{{span: span}, {span: span}}
	for _, l := range lines {
		for id, f := range real {
			if strings.HasPrefix(l.channel, "order_book:") || strings.HasPrefix(l.channel, "trade:") {
				if strings.HasSuffix(l.channel, fmt.Sprintf(":%d", id)) {
					f.take(l.frame)
				}
			}
		}
	}
	const seconds = 60
	own := [2]*figures{{span: seconds * time.Second}, {span: seconds * time.Second}}
	x := New(Options{Seed: 1, Markets: 2, Rate: 461, Start: testStart})
	x.AdvanceBy(30 * time.Second) // let the seeded books settle
	for id, f := range own {
		ch, _ := parseChannel(fmt.Sprintf("order_book/%d", id))
		f.take(x.snapshot(nil, ch))
	}
	x.Tap(func(channel string, frame []byte) {
		for id, f := range own {
			if channel == fmt.Sprintf("order_book:%d", id) || channel == fmt.Sprintf("trade:%d", id) {
				f.take(frame)
			}
		}
	})
	x.AdvanceBy(seconds * time.Second)
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 1, ' ', tabwriter.AlignRight|tabwriter.Debug)
	fmt.Fprintln(w, "\tfigure\tETH recorded\tETH simulated\tBTC recorded\tBTC simulated\t")
	names, _, slack := real[0].rows()
	var values [4][]float64
	for i, f := range []*figures{real[0], own[0], real[1], own[1]} {
		_, values[i], _ = f.rows()
	}
	for i, name := range names {
		fmt.Fprintf(w, "\t%s\t%.4g\t%.4g\t%.4g\t%.4g\t\n", name, values[0][i], values[1][i], values[2][i], values[3][i])
		for k := 0; k < 4; k += 2 {
			if r := values[k+1][i] / values[k][i]; slack[i] > 0 && (r > slack[i] || r < 1/slack[i]) {
				t.Errorf("%s of market %d: %.4g recorded, %.4g simulated", name, k/2, values[k][i], values[k+1][i])
			}
		}
	}
	w.Flush()
	t.Logf("\n%s", table.String())
}
