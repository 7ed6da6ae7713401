package http

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"hyperlight/engine/lake"
	"hyperlight/engine/model"
)

const (
	lakeDay  = testNow - 86_400_000 // 2024-01-31
	lakeBase = "http://localhost:8080"
)

// fakeLake is a lake as a map from ids to bytes. Each open file has an inode of its own, as one that was renamed over has.
type fakeLake struct {
	mu       sync.Mutex
	dir      string // of the inodes; made when the first one is
	files    map[lake.ID]lake.File
	content  map[lake.ID][]byte
	metadata map[string][]byte
	state    LakeState
	remote   func(lake.File) (string, time.Time, error)
}

// newFakeLake has three days of trades of two markets, and funding rates.
func newFakeLake() *fakeLake {
	l := &fakeLake{files: map[lake.ID]lake.File{}, content: map[lake.ID][]byte{}, metadata: map[string][]byte{}}
	for day := range model.Millis(3) {
		at := lakeDay - day*lake.DayMillis
		l.put(lake.ID{Dataset: lake.Trades, Market: 0, Day: at}, "ETH", fmt.Appendf(nil, "PAR1 trades of ETH %d PAR1", day))
		l.put(lake.ID{Dataset: lake.Trades, Market: 1, Day: at}, "BTC", fmt.Appendf(nil, "PAR1 trades of BTC %d PAR1", day))
		l.put(lake.ID{Dataset: lake.FundingRates, Market: lake.AllMarkets, Day: at}, "", fmt.Appendf(nil, "PAR1 rates %d PAR1", day))
	}
	l.metadata["trades/v1.metadata.json"] = []byte(`{"format-version":2}`)
	l.metadata["trades/version-hint.text"] = []byte("1")
	return l
}

// put makes a file, or makes it again.
func (l *fakeLake) put(id lake.ID, symbol string, content []byte) lake.File {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := lake.File{ID: id, Symbol: symbol, Rows: int64(len(content)) * 10, Bytes: int64(len(content)), SHA256: sha256.Sum256(content),
		SchemaVersion: 1, Created: id.To() + 600_000}
	l.files[id], l.content[id] = f, content
	return f
}

func (l *fakeLake) Get(id lake.ID) (lake.File, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, ok := l.files[id]
	return f, ok
}

func (l *fakeLake) List(q lake.Query) ([]lake.File, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var rows []lake.File
	for _, f := range l.files {
		if (q.Dataset == "" || f.ID.Dataset == q.Dataset) && (q.Market == nil || f.ID.Market == *q.Market) &&
			f.ID.To() > q.From && (q.To == 0 || f.ID.Day < q.To) {
			rows = append(rows, f)
		}
	}
	slices.SortFunc(rows, func(a, b lake.File) int {
		place := slices.Index(lake.Datasets[:], a.ID.Dataset) - slices.Index(lake.Datasets[:], b.ID.Dataset)
		order := cmp.Or(cmp.Compare(a.ID.Day, b.ID.Day), place, cmp.Compare(a.ID.Market, b.ID.Market))
		if q.Ascending {
			return order
		}
		return -order
	})
	total := len(rows)
	rows = rows[min(q.Offset, total):]
	if q.Limit > 0 {
		rows = rows[:min(q.Limit, len(rows))]
	}
	return rows, total
}

func (l *fakeLake) open(t testing.TB, content []byte) (*os.File, error) {
	if l.dir == "" {
		l.dir = t.TempDir()
	}
	f, err := os.CreateTemp(l.dir, "")
	if err != nil {
		return nil, err
	}
	_, werr := f.Write(content)
	_, serr := f.Seek(0, 0)
	return f, errors.Join(werr, serr, os.Remove(f.Name()))
}

func (l *fakeLake) options(t testing.TB, now func() time.Time) LakeOptions {
	return LakeOptions{Manifest: l,
		Open: func(id lake.ID) (*os.File, lake.File, error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			content, ok := l.content[id]
			if !ok {
				return nil, lake.File{}, fmt.Errorf("open a file: %w", fs.ErrNotExist)
			}
			f, err := l.open(t, content)
			return f, l.files[id], err
		},
		Metadata: func(d lake.Dataset, name string) (*os.File, error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			content, ok := l.metadata[filepath.Join(string(d), name)]
			if !ok {
				return nil, fs.ErrNotExist
			}
			return l.open(t, content)
		},
		Remote: func(_ context.Context, f lake.File) (string, time.Time, error) { return l.remote(f) },
		State: func() LakeState {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.state
		},
		Links: lake.NewLinks([]byte("test-secret-test-secret"), lakeBase, 900*time.Second, now),
	}
}

// newLakeFixture returns a server over a lake of its own.
func newLakeFixture(t testing.TB, o testOptions) (*fixture, *fakeLake) {
	l := newFakeLake()
	edit := o.edit
	var f *fixture
	o.edit = func(s *Options) {
		s.PublicURL = lakeBase
		s.Lake = l.options(t, func() time.Time { return f.clock() })
		if edit != nil {
			edit(s)
		}
	}
	f = &fixture{clock: func() time.Time { return time.UnixMilli(int64(testNow)) }}
	made := newFixture(t, o)
	f = made
	return made, l
}
