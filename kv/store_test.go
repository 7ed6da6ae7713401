package kv_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

func TestMain(m *testing.M) {
	// The metrics library runs one goroutine for all summaries of the process, for good.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/VictoriaMetrics/metrics.summariesSwapCron"))
}

func set(t *testing.T, s *kv.Store, rows map[string]string) {
	t.Helper()
	b := s.NewBatch()
	for k, v := range rows {
		b.Set([]byte(k), []byte(v))
	}
	if err := s.Commit(b, kv.Sync); err != nil {
		t.Fatal(err)
	}
}

func get(s *kv.Store, k string) (v string, err error) {
	err = s.Get([]byte(k), func(b []byte) error { v = string(b); return nil })
	return v, err
}

func collect(t *testing.T, s *kv.Store, r key.Range, reverse bool) (rows []string) {
	t.Helper()
	seq := s.Scan(context.Background(), r)
	if reverse {
		seq = s.ScanReverse(context.Background(), r)
	}
	for row, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, string(row.Key)+"="+string(row.Value))
	}
	return rows
}

func TestReadWrite(t *testing.T) {
	s := kvtest.Open(t)
	if _, err := get(s, "Tx"); !errors.Is(err, kv.ErrNotFound) {
		t.Fatalf("absent key: %v", err)
	}
	set(t, s, map[string]string{"Ta": "1", "Tb": "2", "Tc": "3", "Ua": "4"})
	if v, err := get(s, "Tb"); err != nil || v != "2" {
		t.Fatalf("got %q, %v", v, err)
	}
	sentinel := errors.New("stop")
	if err := s.Get([]byte("Ta"), func([]byte) error { return sentinel }); !errors.Is(err, sentinel) {
		t.Fatalf("error of the callback: %v", err)
	}
	r := key.All(key.Trades)
	if got := fmt.Sprint(collect(t, s, r, false)); got != "[Ta=1 Tb=2 Tc=3]" {
		t.Fatal(got)
	}
	if got := fmt.Sprint(collect(t, s, r, true)); got != "[Tc=3 Tb=2 Ta=1]" {
		t.Fatal(got)
	}
	last := ""
	if err := s.Last(r, func(k, v []byte) error { last = string(k) + string(v); return nil }); err != nil || last != "Tc3" {
		t.Fatalf("last: %q, %v", last, err)
	}
	if err := s.Last(key.All(key.Users), func(k, v []byte) error { return nil }); !errors.Is(err, kv.ErrNotFound) {
		t.Fatalf("last of nothing: %v", err)
	}
	b := s.NewBatch()
	b.Delete([]byte("Ta"))
	cut, _ := key.NewRange([]byte("Tc"), []byte("Td"))
	b.DeleteRange(cut)
	b.Set([]byte("Tc2"), []byte("5"))
	if b.Len() != 3 || b.Size() == 0 {
		t.Fatalf("batch: %d operations, %d bytes", b.Len(), b.Size())
	}
	if err := s.Commit(b, kv.NoSync); err != nil {
		t.Fatal(err)
	}
	b.Reset()
	b.Set([]byte("Td"), []byte("6"))
	if err := s.Commit(b, kv.Sync); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(collect(t, s, r, false)); got != "[Tb=2 Tc2=5 Td=6]" {
		t.Fatal(got)
	}
}

func TestEmptyRangeIsRefused(t *testing.T) {
	s := kvtest.Open(t)
	b := s.NewBatch()
	b.Set([]byte("Ta"), nil)
	b.DeleteRange(key.Range{Start: []byte("b"), End: []byte("b")})
	if err := s.Commit(b, kv.Sync); !errors.Is(err, key.ErrEmptyRange) {
		t.Fatalf("got %v", err)
	}
	if _, err := get(s, "Ta"); !errors.Is(err, kv.ErrNotFound) {
		t.Fatal("half of a refused batch was written")
	}
	if err := s.DropBefore(key.Trades, 0); !errors.Is(err, key.ErrEmptyRange) {
		t.Fatalf("drop of nothing: %v", err)
	}
}

// A scan over more rows than one iterator serves must see each exactly once, in both directions.
func TestScanReopens(t *testing.T) {
	s := kvtest.Open(t)
	const n = 3*4096 + 17
	b := s.NewBatch()
	for i := range uint32(n) {
		k := binary.BigEndian.AppendUint32([]byte("T"), i)
		b.Set(k, k)
	}
	if err := s.Commit(b, kv.NoSync); err != nil {
		t.Fatal(err)
	}
	i := uint32(0)
	for row, err := range s.Scan(t.Context(), key.All(key.Trades)) {
		if err != nil || binary.BigEndian.Uint32(row.Key[1:]) != i || !bytes.Equal(row.Key, row.Value) {
			t.Fatalf("row %d is %x, %v", i, row.Key, err)
		}
		i++
	}
	for row, err := range s.ScanReverse(t.Context(), key.All(key.Trades)) {
		if i--; err != nil || binary.BigEndian.Uint32(row.Key[1:]) != i {
			t.Fatalf("row %d is %x, %v", i, row.Key, err)
		}
	}
	if i != 0 {
		t.Fatalf("%d rows missing in reverse", i)
	}
}

// A slow reader must not pin tables: after a second it gets a new iterator, which shows in rows written meanwhile.
func TestScanReopensByTime(t *testing.T) {
	var mu sync.Mutex
	now := time.Unix(1_760_000_000, 0)
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	s := kvtest.NewDisk().Open(t, kv.Options{Now: clock})
	set(t, s, map[string]string{"Ta": "", "Tb": "", "Td": ""})
	var got []string
	for row, err := range s.Scan(t.Context(), key.All(key.Trades)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(row.Key))
		mu.Lock()
		now = now.Add(600 * time.Millisecond)
		mu.Unlock()
		switch string(row.Key) {
		case "Ta":
			set(t, s, map[string]string{"Tab": ""}) // unseen: the iterator is younger than a second
		case "Tb":
			set(t, s, map[string]string{"Tc": ""})
		}
	}
	if fmt.Sprint(got) != "[Ta Tb Tc Td]" {
		t.Fatal(got)
	}
}

func TestScanEndsWithContext(t *testing.T) {
	s := kvtest.Open(t)
	set(t, s, map[string]string{"Ta": "", "Tb": "", "Tc": ""})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var last error
	for _, err := range s.Scan(ctx, key.All(key.Trades)) {
		if last = err; err == nil {
			n++
		}
		cancel()
	}
	if n != 1 || !errors.Is(last, context.Canceled) {
		t.Fatalf("%d rows, then %v", n, last)
	}
}

func TestDropBefore(t *testing.T) {
	s := kvtest.Open(t)
	b := s.NewBatch()
	day := int64(key.DayMillis)
	for d := range int64(4) {
		b.Set(key.Trade(nil, 7, key.Hot, d*day), nil)
		b.Set(key.IndexRow(nil, key.Trades, uint32(d), 7), nil)
		b.Set(key.IndexRow(nil, key.Books, uint32(d), 7), nil)
		b.Set(key.Keyframe(nil, 7, d*key.DayMicros), nil)
		for _, res := range key.Resolutions {
			b.Set(key.Candle(nil, res, 7, d*key.SpanMillis), nil)
		}
	}
	if err := s.Commit(b, kv.Sync); err != nil {
		t.Fatal(err)
	}
	count := func(r key.Range) int { return len(collect(t, s, r, false)) }
	for _, f := range []key.Family{key.Trades, key.Candles} {
		if err := s.DropBefore(f, 2); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(key.All(key.Trades)); n != 2 {
		t.Errorf("%d trade blocks left", n)
	}
	if n := count(key.All(key.Index)); n != 2+4 {
		t.Errorf("%d index rows left", n)
	}
	if n := count(key.All(key.Keyframes)); n != 4 {
		t.Errorf("%d keyframes left", n)
	}
	if n := count(key.All(key.Candles)); n != 3*2 {
		t.Errorf("%d candles left", n)
	}
}

func TestCloseWaitsAndThenRefuses(t *testing.T) {
	s := kvtest.Open(t)
	set(t, s, map[string]string{"Ta": "1", "Tb": "2"})
	entered, closed := make(chan struct{}), make(chan error, 1)
	inside := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Get([]byte("Ta"), func(v []byte) error {
			close(entered)
			<-inside
			if string(v) != "1" {
				t.Error("the value changed under a reader")
			}
			return nil
		})
	}()
	<-entered
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		t.Fatalf("closed under a reader: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(inside)
	<-done
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	b := s.NewBatch()
	b.Set([]byte("x"), nil)
	_, getErr := get(s, "Ta")
	for what, err := range map[string]error{
		"get": getErr, "commit": s.Commit(b, kv.Sync), "drop": s.DropBefore(key.Trades, 3), "probe": s.Probe(),
		"checkpoint": s.Checkpoint("copy"), "last": s.Last(key.All(key.Trades), nil),
	} {
		if !errors.Is(err, kv.ErrClosed) {
			t.Errorf("%s after close: %v", what, err)
		}
	}
	for _, err := range s.Scan(t.Context(), key.All(key.Trades)) {
		if !errors.Is(err, kv.ErrClosed) {
			t.Errorf("scan after close: %v", err)
		}
	}
	_ = s.Metrics()
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

// Close during heavy use: every call ends with success or ErrClosed, nothing panics.
func TestCloseUnderLoad(t *testing.T) {
	for range 20 {
		s := kvtest.Open(t)
		set(t, s, map[string]string{"Ta": "1", "Tb": "2"})
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := 0; ; i++ {
					b := s.NewBatch()
					b.Set(fmt.Appendf(nil, "T%d-%d", g, i), []byte("v"))
					err := s.Commit(b, kv.NoSync)
					for _, e := range s.Scan(context.Background(), key.All(key.Trades)) {
						err = errors.Join(err, e)
					}
					_ = s.Metrics()
					if err != nil {
						if !errors.Is(err, kv.ErrClosed) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		time.Sleep(time.Millisecond)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
	}
}

func TestCheckpoint(t *testing.T) {
	disk := kvtest.NewDisk()
	s := disk.Open(t, kv.Options{})
	b := s.NewBatch()
	b.Set([]byte("Ta"), []byte("1"))
	if err := s.Commit(b, kv.NoSync); err != nil {
		t.Fatal(err)
	}
	if err := s.Checkpoint("copy"); err != nil {
		t.Fatal(err)
	}
	if err := s.Checkpoint("copy"); !errors.Is(err, kv.ErrExists) {
		t.Fatalf("checkpoint over another: %v", err)
	}
	set(t, s, map[string]string{"Tb": "2"})
	c := disk.Open(t, kv.Options{Dir: "copy"})
	if got := fmt.Sprint(collect(t, c, key.All(key.Trades), false)); got != "[Ta=1]" {
		t.Fatal(got)
	}
}

func TestLockedStore(t *testing.T) {
	o := kv.Options{Dir: filepath.Join(t.TempDir(), "store")}
	s, err := kv.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := kv.Open(o); !errors.Is(err, kv.ErrLocked) {
		t.Fatalf("second open: %v", err)
	}
	if i, err := os.Stat(o.Dir); err != nil || i.Mode().Perm() != 0o700 {
		t.Fatalf("directory: %v, %v", i.Mode(), err)
	}
	if err := s.Probe(); err != nil {
		t.Fatal(err)
	}
	if h := s.Metrics(); h.FreeBytes == 0 || h.Bytes == 0 || h.FsyncP99 == 0 {
		t.Errorf("health of a store on a real disk: %+v", h)
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := kv.Open(kv.Options{}); err == nil {
		t.Error("opened without a directory")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Open(kv.Options{Dir: file}); err == nil || errors.Is(err, kv.ErrLocked) {
		t.Errorf("a file as directory: %v", err)
	}
}

func TestFormats(t *testing.T) {
	for name, c := range map[string]struct {
		row  []byte
		want error
	}{
		"ours":    {[]byte{1, kv.Format}, nil},
		"newer":   {[]byte{1, kv.Format + 1}, kv.ErrNewerFormat},
		"foreign": {[]byte{9, 9}, kv.ErrForeign},
		"short":   {[]byte{1}, kv.ErrForeign},
		"absent":  {nil, kv.ErrForeign},
	} {
		t.Run(name, func(t *testing.T) {
			disk := kvtest.NewDisk()
			s := disk.Open(t, kv.Options{})
			b := s.NewBatch()
			b.Set([]byte("Ta"), nil)
			if k := key.MetaRow(nil, "format"); c.row != nil {
				b.Set(k, c.row)
			} else {
				b.Delete(k)
			}
			if err := errors.Join(s.Commit(b, kv.Sync), s.Close()); err != nil {
				t.Fatal(err)
			}
			s, err := disk.TryOpen(kv.Options{})
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil {
				s.Close()
			} else if s, again := disk.TryOpen(kv.Options{}); errors.Is(again, kv.ErrLocked) {
				s.Close()
				t.Fatal("a refused open keeps the lock")
			}
		})
	}
}

func TestNewerPebbleFormat(t *testing.T) {
	mem := vfs.NewMem()
	o := kv.WithFS(kv.Options{Dir: "db"}, mem)
	s, err := kv.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	names, _ := mem.List("db")
	for _, n := range names {
		if len(n) > 21 && n[:21] == "marker.format-version" {
			if err := mem.Rename("db/"+n, "db/marker.format-version.000099.999"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := kv.Open(o); !errors.Is(err, kv.ErrNewerFormat) {
		t.Fatalf("got %v", err)
	}
}
