package http

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

func TestRedirect(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := NewRedirect([]string{"Data.example.com", "b.example.com"})
	ended := make(chan error, 1)
	go func() { ended <- r.Serve(ln) }()
	defer func() {
		if err := errors.Join(r.Shutdown(context.Background()), <-ended); err != nil {
			t.Error(err)
		}
	}()
	for _, tt := range []struct{ request, status, location string }{
		{"GET /api/v1/candles?market_id=0&x=%2F HTTP/1.1\r\nHost: data.example.com\r\n\r\n", "308", "https://data.example.com/api/v1/candles?market_id=0&x=%2F"},
		{"GET / HTTP/1.1\r\nHost: B.example.com:80\r\n\r\n", "308", "https://b.example.com/"},
		{"GET //evil.example.org HTTP/1.1\r\nHost: b.example.com\r\n\r\n", "308", "https://b.example.com//evil.example.org"},
		{"GET /a HTTP/1.1\r\nHost: evil.example.org\r\n\r\n", "308", "https://data.example.com/a"},
		{"GET http://evil.example.org/x HTTP/1.1\r\nHost: b.example.com\r\n\r\n", "308", "https://data.example.com/"},
		{"POST /keys HTTP/1.1\r\nHost: b.example.com\r\nContent-Length: 0\r\n\r\n", "308", "https://b.example.com/keys"},
		{"POST /keys HTTP/1.1\r\nHost: b.example.com\r\nContent-Length: 50000\r\n\r\n", "4", ""},
	} {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(tt.request)); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		conn.Close()
		if err != nil {
			t.Fatal(err)
		}
		head := string(answer)
		if !strings.HasPrefix(head, "HTTP/1.1 "+tt.status) || tt.location != "" && !strings.Contains(head, "\r\nLocation: "+tt.location+"\r\n") {
			t.Errorf("%q gives\n%s", tt.request, head)
		}
		if strings.Count(head, "Location:") > 1 || strings.Contains(head, "Location: https://evil") {
			t.Errorf("%q leads astray:\n%s", tt.request, head)
		}
	}
}
