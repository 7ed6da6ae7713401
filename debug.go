package main

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"time"
)

// startDebug serves the profiler on a loopback address of its own.
func startDebug(address string) (stop func(), err error) {
	ln, err := listen(address, "debug.listen")
	if err != nil {
		return nil, fmt.Errorf("serve the profiler: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(ln) // always ErrServerClosed: Close below ends it
	}()
	return func() { _ = server.Close(); <-ended }, nil
}
