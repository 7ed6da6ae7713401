package http

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
)

// However an answer in two pieces is taken, it is the same bytes.
func TestSharedBody(t *testing.T) {
	for _, tail := range []string{"", "tail"} {
		fresh := func() *sharedBody { return &sharedBody{first: []byte("first part"), tail: []byte(tail)} }
		want := "first part" + tail
		var b bytes.Buffer
		if n, err := fresh().WriteTo(&b); err != nil || int(n) != len(want) || b.String() != want {
			t.Errorf("WriteTo: got %q %v", b.String(), err)
		}
		for _, r := range []io.Reader{fresh(), iotest.OneByteReader(fresh()), iotest.HalfReader(fresh())} {
			if got, err := io.ReadAll(r); err != nil || string(got) != want {
				t.Errorf("Read: got %q %v", got, err)
			}
		}
	}
}

// The three ways in which a book leaves (shared, in one piece, not cached) say the same.
func TestSharedBookEqualsTheOthers(t *testing.T) {
	f := newFixture(t, testOptions{})
	f.bigBook()
	for _, depth := range []string{"1", "50", "250", "251", "1000"} {
		path := "/api/v1/orderbook/0?depth=" + depth
		shared := f.do(t, "GET", path, "X-Request-Id", testRequestID)
		whole := f.do(t, "GET", path, "X-Request-Id", testRequestID, "Accept-Encoding", "identity")
		if !bytes.Equal(shared.Body, whole.Body) || len(shared.Body) < 100 || shared.Header["Content-Length"] != whole.Header["Content-Length"] {
			t.Errorf("depth %s: got %d and %d bytes", depth, len(shared.Body), len(whole.Body))
		}
	}
}
