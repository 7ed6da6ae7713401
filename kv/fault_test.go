package kv_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// Each batch writes the same number into several rows. After a crash at a random moment with a random part of the
// unsynced data kept, every batch acknowledged with Sync is there and no batch is there by half.
func TestCrash(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %#x", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	for range rounds {
		crashOnce(t, rnd)
	}
}

const crashRows = 3 // rows of each batch: they must all be there, or none

func crashRow(batch uint32, i int) []byte {
	return append(binary.BigEndian.AppendUint32([]byte("T"), batch), byte(i))
}

func crashOnce(t *testing.T, rnd *rand.Rand) {
	disk := kvtest.NewDisk()
	s, err := disk.TryOpen(kv.Options{MemTableBytes: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var synced atomic.Int64 // batches below this one are acknowledged
	stop := make(chan struct{})
	var wg sync.WaitGroup
	fill := bytes.Repeat([]byte("x"), 1+rnd.IntN(3000))
	syncEvery := uint32(1 + rnd.IntN(20))
	wg.Go(func() {
		b := s.NewBatch()
		for n := uint32(0); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			b.Reset()
			for i := range crashRows {
				b.Set(crashRow(n, i), fill)
			}
			d := kv.NoSync
			if n%syncEvery == 0 {
				d = kv.Sync
			}
			if err := s.Commit(b, d); err != nil {
				t.Errorf("commit: %v", err)
				return
			}
			if d == kv.Sync {
				synced.Store(int64(n) + 1)
			}
		}
	})
	time.Sleep(time.Duration(rnd.IntN(8_000)) * time.Microsecond)
	acknowledged := synced.Load()
	after := disk.Crash(t, rnd.IntN(101), rnd.Uint64())
	close(stop)
	wg.Wait()

	s2, err := after.TryOpen(kv.Options{})
	if err != nil {
		t.Fatalf("open after crash: %v", err)
	}
	defer s2.Close()
	rows := map[uint32]int{}
	greatest := int64(-1)
	for row, err := range s2.Scan(t.Context(), key.All(key.Trades)) {
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(row.Value, fill) {
			t.Fatalf("row %x is damaged", row.Key)
		}
		n := binary.BigEndian.Uint32(row.Key[1:])
		rows[n]++
		greatest = max(greatest, int64(n))
	}
	for n, count := range rows {
		if count != crashRows {
			t.Errorf("batch %d is there by %d of %d rows", n, count, crashRows)
		}
	}
	if greatest+1 < acknowledged {
		t.Errorf("%d batches acknowledged, the last one found is %d", acknowledged, greatest)
	}
	// Batches are logged in order: none may be missing before one that is there.
	if int64(len(rows)) != greatest+1 {
		t.Errorf("%d batches found, the last one is %d", len(rows), greatest)
	}
	if err := s2.Probe(); err != nil {
		t.Errorf("probe after crash: %v", err)
	}
}

func TestCrashCloneLeavesTheStoreAlone(t *testing.T) {
	s := kvtest.Open(t)
	set(t, s, map[string]string{"Ta": "1"})
	c := kvtest.CrashClone(t, s, 0)
	set(t, s, map[string]string{"Ta": "2"})
	if v, err := get(c, "Ta"); err != nil || v != "1" {
		t.Errorf("clone: %q, %v", v, err)
	}
	if v, err := get(s, "Ta"); err != nil || v != "2" {
		t.Errorf("store: %q, %v", v, err)
	}
}

// A log that cannot be written ends writing for good: the commit is not acknowledged, OnFatal is called once, the probe
// tells, reads go on, what was acknowledged before survives.
func TestLogFails(t *testing.T) {
	for name, cause := range map[string]error{"input/output error": syscall.EIO, "disk full": syscall.ENOSPC} {
		t.Run(name, func(t *testing.T) {
			disk := kvtest.NewDisk()
			var fatal atomic.Int32
			s := disk.Open(t, kv.Options{OnFatal: func(err error) {
				fatal.Add(1)
				if !errors.Is(err, kv.ErrFailed) || !strings.Contains(err.Error(), cause.Error()) {
					t.Errorf("fatal error is %v", err)
				}
			}})
			set(t, s, map[string]string{"Ta": "1"})
			disk.Fail(kvtest.Log, cause)
			for range 3 {
				b := s.NewBatch()
				b.Set([]byte("Tb"), []byte("2"))
				if err := s.Commit(b, kv.Sync); !errors.Is(err, kv.ErrFailed) {
					t.Fatalf("commit: %v", err)
				}
			}
			if err := s.Probe(); !errors.Is(err, kv.ErrFailed) {
				t.Errorf("probe: %v", err)
			}
			if n := fatal.Load(); n != 1 {
				t.Errorf("OnFatal called %d times", n)
			}
			if s.Metrics().Failed == nil {
				t.Error("health says nothing")
			}
			if v, err := get(s, "Ta"); err != nil || v != "1" {
				t.Errorf("read after failure: %q, %v", v, err)
			}
			_ = s.Close()
			disk.Fail(kvtest.Log, nil)
			s2 := disk.Crash(t, 50, 1).Open(t, kv.Options{})
			if v, err := get(s2, "Ta"); err != nil || v != "1" {
				t.Errorf("after restart: %q, %v", v, err)
			}
		})
	}
}

// Tables that cannot be written make the store read-only, with few tries and fewer log lines, until they can again.
func TestFlushFails(t *testing.T) {
	disk := kvtest.NewDisk()
	var log syncBuffer
	s := disk.Open(t, kv.Options{MemTableBytes: 256 << 10, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	disk.Fail(kvtest.Tables, syscall.ENOSPC)
	var acknowledged int
	var err error
	value := bytes.Repeat([]byte("v"), 8<<10)
	deadline := time.Now().Add(time.Minute)
	for err == nil && time.Now().Before(deadline) {
		b := s.NewBatch()
		b.Set(fmt.Appendf(nil, "T%06d", acknowledged), value)
		if err = s.Commit(b, kv.Sync); err == nil {
			acknowledged++
		}
		if acknowledged > 32 {
			time.Sleep(time.Millisecond)
		}
	}
	if !errors.Is(err, kv.ErrReadOnly) {
		t.Fatalf("after %d commits: %v", acknowledged, err)
	}
	if err := s.Probe(); !errors.Is(err, kv.ErrReadOnly) {
		t.Errorf("probe: %v", err)
	}
	if h := s.Metrics(); !h.ReadOnly || h.Reason == nil || h.Failed != nil {
		t.Errorf("health: %+v", h)
	}
	time.Sleep(300 * time.Millisecond)
	if lines := strings.Count(log.String(), "store background error"); lines != 1 {
		t.Errorf("%d log lines about one fault", lines)
	}
	disk.Fail(kvtest.Tables, nil)
	for deadline = time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err = s.Probe(); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatalf("the store did not recover: %v", err)
	}
	if n := len(collect(t, s, key.All(key.Trades), false)); n != acknowledged {
		t.Errorf("%d rows acknowledged, %d found", acknowledged, n)
	}
}

// Below the minimum of free space commits are refused, retention still works, and space that comes back opens the store
// again. The file system is asked at most once a second.
func TestFreeSpace(t *testing.T) {
	now := time.Unix(1_760_000_000, 0)
	disk := kvtest.NewDisk()
	disk.SetFree(2000)
	s := disk.Open(t, kv.Options{MinFree: 1000, Now: func() time.Time { return now }})
	set(t, s, map[string]string{"Tabcd": "1"})
	commit := func() error {
		b := s.NewBatch()
		b.Set([]byte("x"), nil)
		return s.Commit(b, kv.Sync)
	}
	disk.SetFree(999)
	if err := commit(); err != nil {
		t.Fatalf("asked again within a second: %v", err)
	}
	now = now.Add(time.Second)
	if err := commit(); !errors.Is(err, kv.ErrReadOnly) {
		t.Fatalf("commit below the minimum: %v", err)
	}
	if h := s.Metrics(); !h.ReadOnly || h.FreeBytes != 999 {
		t.Errorf("health: %+v", h)
	}
	if err := s.Probe(); !errors.Is(err, kv.ErrReadOnly) {
		t.Errorf("probe: %v", err)
	}
	if v, err := get(s, "Tabcd"); err != nil || v != "1" {
		t.Errorf("read: %q, %v", v, err)
	}
	b := s.NewBatch()
	b.Set([]byte("reserve"), nil)
	if err := s.CommitReserve(b, kv.Sync); err != nil {
		t.Errorf("commit from the reserve: %v", err)
	}
	if _, err := get(s, "reserve"); err != nil {
		t.Errorf("row of the reserve: %v", err)
	}
	if err := s.DropBefore(key.Trades, 1<<31); err != nil {
		t.Errorf("retention below the minimum: %v", err)
	}
	for _, c := range []struct {
		free uint64
		want error
	}{{1100, kv.ErrReadOnly}, {1125, nil}, {1100, nil}} {
		disk.SetFree(c.free)
		now = now.Add(time.Second)
		if err := commit(); !errors.Is(err, c.want) {
			t.Errorf("commit with %d bytes free: %v", c.free, err)
		}
	}
}

// The operator is warned once when the minimum comes near, and not before: a tenth of a large disk is plenty.
func TestFreeSpaceNearTheMinimum(t *testing.T) {
	var log syncBuffer
	now := time.Unix(1_760_000_000, 0)
	disk := kvtest.NewDisk()
	disk.SetFree(4000)
	s := disk.Open(t, kv.Options{MinFree: 1000, Now: func() time.Time { return now }, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, c := range []struct {
		free     uint64
		warnings int
	}{{4000, 0}, {3999, 1}, {3000, 1}, {7999, 1}, {3999, 1}, {8000, 1}, {3999, 2}} {
		disk.SetFree(c.free)
		now = now.Add(time.Second)
		if err := s.Probe(); err != nil {
			t.Fatalf("%d bytes free: %v", c.free, err)
		}
		if n := strings.Count(log.String(), "near the minimum"); n != c.warnings {
			t.Errorf("%d bytes free: %d warnings, want %d", c.free, n, c.warnings)
		}
	}
	if strings.Contains(log.String(), "disk space low") {
		t.Error("Pebble's own warning: ", log.String())
	}
}

func TestOpenOnAFailingDisk(t *testing.T) {
	disk := kvtest.NewDisk()
	disk.Fill(true)
	if _, err := disk.TryOpen(kv.Options{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v", err)
	}
	disk.Fill(false)
	disk.Open(t, kv.Options{})
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
