package http

import (
	"context"
	"errors"
	"net"

	"github.com/valyala/fasthttp"
)

// newHTTP returns a fasthttp server with the limits of ours.
func (s *Server) newHTTP(handler fasthttp.RequestHandler) *fasthttp.Server {
	return &fasthttp.Server{
		Handler:                      handler,
		ErrorHandler:                 s.serveFault,
		ConnState:                    s.connections.observe,
		Logger:                       serverLogger{s.log},
		Concurrency:                  maxConnections,
		ReadBufferSize:               maxHead,
		WriteBufferSize:              writeBuffer,
		MaxRequestBodySize:           maxBody,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		NoDefaultServerHeader:        true,
		CloseOnShutdown:              true,
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
	}
}

// Serve answers the connections of a listener until Shutdown, which closes it.
func (s *Server) Serve(ln net.Listener) error { return s.listen(ln, s.http) }

// ServeSockets answers the connections of a listener on which there are the WebSocket paths only.
func (s *Server) ServeSockets(ln net.Listener) error { return s.listen(ln, s.socketHTTP) }

func (s *Server) listen(ln net.Listener, by *fasthttp.Server) error {
	s.listenersMu.Lock()
	if s.closing.Load() {
		s.listenersMu.Unlock()
		return ln.Close()
	}
	s.listeners = append(s.listeners, ln)
	s.listenersMu.Unlock()
	return by.Serve(ln)
}

// Shutdown stops accepting, lets running requests finish until ctx ends, and hands on the last lines of the access log.
// Sockets that were upgraded are the business of their handlers.
func (s *Server) Shutdown(ctx context.Context) error {
	s.listenersMu.Lock()
	s.closing.Store(true)
	listeners := s.listeners
	s.listenersMu.Unlock()
	s.end()
	err := errors.Join(s.http.ShutdownWithContext(ctx), s.socketHTTP.ShutdownWithContext(ctx))
	// fasthttp does not know a listener whose Serve has only just been called; closing one twice does no harm.
	for _, ln := range listeners {
		_ = ln.Close()
	}
	s.journal.close()
	s.metrics.unregister()
	return err
}
