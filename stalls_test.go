package main

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// stalls measures for how long this machine lets nobody work while a test runs: how late a short sleep and a synced write
// end. What a server promises within a time it can keep only but for that.
type stalls struct{ most atomic.Int64 }

func watchStalls(t *testing.T) *stalls {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "stalls"))
	if err != nil {
		t.Fatal(err)
	}
	s := &stalls{}
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		const pause = 50 * time.Millisecond
		for {
			began := time.Now()
			select {
			case <-stop:
				return
			case <-time.After(pause):
			}
			_, err := file.WriteAt([]byte("x"), 0)
			if err == nil {
				err = file.Sync()
			}
			if err != nil {
				t.Error(err)
				return
			}
			s.most.Store(max(s.most.Load(), int64(time.Since(began)-pause)))
		}
	})
	t.Cleanup(func() {
		close(stop)
		watching.Wait()
		_ = file.Close()
		t.Logf("this machine stood still for at most %s", s.longest())
	})
	return s
}

// longest is the longest stall so far.
func (s *stalls) longest() time.Duration { return time.Duration(s.most.Load()) }

// within gives a promise the time that the machine took: the work of a promise meets more than one stall.
func (s *stalls) within(promised time.Duration) time.Duration { return promised + 10*s.longest() }
