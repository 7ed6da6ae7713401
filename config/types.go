package config

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time as 10s, 1h30m or 90d (a day is 24 hours). 0 means no limit where a key says so.
type Duration time.Duration

// D returns the value as the standard type.
func (d Duration) D() time.Duration { return time.Duration(d) }

// String writes whole days as 90d, else Go's form without zero parts.
func (d Duration) String() string {
	switch {
	case d == 0:
		return "0"
	case d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText writes the form that UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

var errDuration = errors.New("must be a duration as 10s, 1h30m or 90d")

// UnmarshalText reads a duration; days may stand in front of smaller units, as 1d12h.
func (d *Duration) UnmarshalText(b []byte) error {
	s := string(b)
	if s == "0" {
		*d = 0
		return nil
	}
	var days Duration
	if n, rest, ok := strings.Cut(s, "d"); ok {
		v, err := strconv.ParseUint(n, 10, 31)
		if err != nil || v > uint64(math.MaxInt64/int64(day)) {
			return errDuration
		}
		days, s = Duration(v)*day, rest
		if s == "" {
			*d = days
			return nil
		}
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 || Duration(v) > math.MaxInt64-days {
		return errDuration
	}
	*d = days + Duration(v)
	return nil
}

// Size is a number of bytes as 64MiB.
type Size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

// Bytes returns the number of bytes.
func (s Size) Bytes() int64 { return int64(s) }

// String writes the largest binary unit that divides the value.
func (s Size) String() string {
	if s == 0 {
		return "0"
	}
	for _, u := range sizeUnits[:4] {
		if int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// MarshalText writes the form that UnmarshalText reads.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

var errSize = errors.New("must be a size as 64MiB, 1GiB or a number of bytes")

// UnmarshalText reads a whole number with a binary or decimal unit, or plain bytes.
func (s *Size) UnmarshalText(b []byte) error {
	text, unit := string(b), int64(1)
	for _, u := range sizeUnits {
		if t, ok := strings.CutSuffix(text, u.name); ok {
			text, unit = strings.TrimRight(t, " "), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || int64(n) > math.MaxInt64/unit {
		return errSize
	}
	*s = Size(int64(n) * unit)
	return nil
}

// mask is what every form of a set secret looks like.
const mask = "********"

// Secret is a text that no log, dump or error may show; convert it to string where it is used.
type Secret string

// String masks the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString masks the value in %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// LogValue masks the value in logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText masks the value, in JSON and YAML too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// List is a list of texts, in one variable as a,b,c.
type List []string

// String writes the comma form.
func (l List) String() string { return strings.Join(l, ",") }

// MarshalText writes the form that UnmarshalText reads.
func (l List) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads the comma form; blanks around commas do not count.
func (l *List) UnmarshalText(b []byte) error {
	*l = nil
	if len(b) == 0 {
		return nil
	}
	for item := range strings.SplitSeq(string(b), ",") {
		if item = strings.TrimSpace(item); item == "" {
			return errors.New("has an empty item")
		}
		*l = append(*l, item)
	}
	return nil
}

// Markets chooses markets by the venue's own ids. Nil means all.
type Markets []int64

// All tells whether every market is meant.
func (m Markets) All() bool { return m == nil }

// Has tells whether a market is meant.
func (m Markets) Has(id int64) bool { return m == nil || slices.Contains(m, id) }

// String writes all, or the ids with commas.
func (m Markets) String() string {
	if m == nil {
		return "all"
	}
	var b []byte
	for i, id := range m {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, id, 10)
	}
	return string(b)
}

// MarshalText writes the form that UnmarshalText reads.
func (m Markets) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads all, or ids with commas.
func (m *Markets) UnmarshalText(b []byte) error {
	if string(b) == "all" {
		*m = nil
		return nil
	}
	ids := Markets{}
	for item := range strings.SplitSeq(string(b), ",") {
		id, err := strconv.ParseInt(strings.TrimSpace(item), 10, 64)
		if err != nil || id < 0 {
			return errors.New("must be all, or market ids as 0,1,2")
		}
		if slices.Contains(ids, id) {
			return fmt.Errorf("names market %d twice", id)
		}
		ids = append(ids, id)
	}
	*m = ids
	return nil
}

// WhaleMarkets are values in whole USD by the venue's own market ids.
type WhaleMarkets map[int64]int

// String writes the comma form, sorted by id.
func (w WhaleMarkets) String() string {
	var b []byte
	for _, id := range slices.Sorted(maps.Keys(w)) {
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = append(strconv.AppendInt(b, id, 10), '=')
		b = strconv.AppendInt(b, int64(w[id]), 10)
	}
	return string(b)
}

// MarshalText writes the form that UnmarshalText reads.
func (w WhaleMarkets) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads 0=250000,1=500000 in place of what is there.
func (w *WhaleMarkets) UnmarshalText(b []byte) error {
	next := WhaleMarkets{}
	for item := range strings.SplitSeq(string(b), ",") {
		if len(b) == 0 {
			break
		}
		market, value, ok := strings.Cut(strings.TrimSpace(item), "=")
		id, err := strconv.ParseInt(market, 10, 64)
		usd, err2 := strconv.Atoi(value)
		if !ok || err != nil || err2 != nil || id < 0 {
			return errors.New("must be market ids with values in whole USD as 0=250000,1=500000")
		}
		if _, twice := next[id]; twice {
			return fmt.Errorf("names market %d twice", id)
		}
		next[id] = usd
	}
	*w = next
	return nil
}

// isMap tells of the values that a file writes as a mapping.
func isMap(v any) bool {
	switch v.(type) {
	case Retention, WhaleMarkets:
		return true
	}
	return false
}

// Retention is the age at which a dataset is deleted; 0 keeps it for good. It
// always holds every dataset: what a file or a variable leaves out keeps its value.
type Retention map[string]Duration

// String writes the comma form, sorted by name.
func (r Retention) String() string {
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(r)) {
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, name...), '='), r[name].String()...)
	}
	return string(b)
}

// MarshalText writes the form that UnmarshalText reads.
func (r Retention) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads trades=0,books=90d into the map that is there.
func (r *Retention) UnmarshalText(b []byte) error {
	next := maps.Clone(*r)
	if next == nil {
		next = Retention{}
	}
	for item := range strings.SplitSeq(string(b), ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok {
			return errors.New("must be datasets with durations as trades=0,books=90d")
		}
		if _, known := (*r)[name]; !known {
			return unknownName("dataset", name, slices.Collect(maps.Keys(*r)))
		}
		var d Duration
		if err := d.UnmarshalText([]byte(value)); err != nil {
			return fmt.Errorf("%s %w", name, err)
		}
		next[name] = d
	}
	*r = next
	return nil
}
