package ws

import (
	"testing"
	"testing/synctest"
)

// TestAwaitCountsBytes: who waits for room before he reads on does not fill the queue beyond its bound with large frames,
// which would close a client that only reads slowly.
func TestAwaitCountsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const frame, most = 200 << 10, 64
		q := newQueue(1024, 8<<20)
		done := make(chan struct{})
		var came int
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for q.await(most, frame, done) {
				if result, _ := q.push(item{size: frame}); result != pushed {
					t.Error("the queue is full although there was room")
					return
				}
				came++
			}
		}()
		for range 100 {
			synctest.Wait()
			if result, _ := q.push(item{size: 1000}); result != pushed {
				t.Fatal("no room is left for others")
			}
			q.take(make([]item, 0, 2), 1<<20)
		}
		close(done)
		<-ended
		if came < 100 {
			t.Errorf("%d frames came through", came)
		}
		// What is larger than the queue goes alone.
		q.take(make([]item, 0, 1024), 1<<30)
		if !q.await(most, 16<<20, nil) {
			t.Error("no room in an empty queue")
		}
		q.seal(true)
	})
}
