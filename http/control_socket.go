package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/model"
)

// maxControlPath is the longest path that every system takes for a socket.
const maxControlPath = 103

// maxControlAnswer bounds what a client reads.
const maxControlAnswer = 64 << 20

// ErrControlBusy means that another server answers on the socket.
var ErrControlBusy = errors.New("another server answers there")

// ListenControl opens the control socket, for its owner only. What a server that did not end in order left behind is
// replaced; a socket that still answers, or a file that is none, is an error. The caller must own what the socket
// belongs to (the store's lock): two that open it at once are not told apart.
func ListenControl(path string) (net.Listener, error) {
	fail := func(err error) (net.Listener, error) {
		return nil, fmt.Errorf("open control socket %s: %w", path, err)
	}
	if len(path) > maxControlPath {
		return fail(fmt.Errorf("the path is longer than %d bytes, name a shorter one with server.control", maxControlPath))
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fail(err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fail(err)
	}
	if mode := info.Mode(); runtime.GOOS != "windows" && mode.Perm()&0o002 != 0 && mode&os.ModeSticky == 0 {
		return fail(errors.New("everybody may write to its directory"))
	}
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fail(err)
	case info.Mode().Type() != fs.ModeSocket:
		return fail(errors.New("a file of that name is there, and it is no socket"))
	default:
		if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
			conn.Close()
			return fail(ErrControlBusy)
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fail(err)
		}
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return fail(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return fail(err)
	}
	return ln, nil
}

// ControlClient sends commands to the control socket of a running server.
type ControlClient struct{ client fasthttp.HostClient }

// DialControl returns a client, or the error of the dialer where nobody listens. A socket that a stranger made is
// fs.ErrPermission.
func DialControl(path string) (*ControlClient, error) {
	socket, err := os.Stat(path)
	if err == nil {
		dir, err := os.Stat(filepath.Dir(path))
		if err == nil && !ownSocket(socket, dir) {
			return nil, fmt.Errorf("open control socket %s: another user made it: %w", path, fs.ErrPermission)
		}
	}
	conn, err := net.DialTimeout("unix", path, 5*time.Second)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	first := make(chan net.Conn, 1)
	first <- conn
	return &ControlClient{fasthttp.HostClient{
		Addr: "control", MaxConns: 1, MaxResponseBodySize: maxControlAnswer, NoDefaultUserAgentHeader: true, DisablePathNormalizing: true,
		MaxIdemponentCallAttempts: 1, // a command that may have been carried out is not sent again
		Dial: func(string) (net.Conn, error) {
			select {
			case conn := <-first:
				return conn, nil
			default:
				return net.DialTimeout("unix", path, 5*time.Second)
			}
		},
	}}, nil
}

// Answer sends a command, as Control.Answer runs it; err tells that there is no answer. Where ctx has no deadline it
// waits a minute.
func (c *ControlClient) Answer(ctx context.Context, name string, body []byte) (status int, answer []byte, err error) {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.SetRequestURI("http://control/" + name)
	request.Header.SetMethod(fasthttp.MethodPost)
	request.Header.SetContentType("application/json")
	request.SetBody(body)
	wait := time.Minute
	if deadline, ok := ctx.Deadline(); ok {
		err = c.client.DoDeadline(request, response, deadline)
	} else {
		err = c.client.DoTimeout(request, response, wait)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("ask the running server: %w", err)
	}
	return response.StatusCode(), append([]byte(nil), response.Body()...), nil
}

// Close ends the client's connection.
func (c *ControlClient) Close() { c.client.CloseIdleConnections() }

// DecodeControl reads the answer of a command into a value, or returns its *ControlError.
func DecodeControl(status int, answer []byte, into any) error {
	if status == fasthttp.StatusOK {
		if err := json.Unmarshal(answer, into); err != nil {
			return fmt.Errorf("read answer of a command: %w", err)
		}
		return nil
	}
	var body controlErrorBody
	if err := json.Unmarshal(answer, &body); err != nil || body.Error == nil {
		return &ControlError{Code: model.CodeInternal, Message: fmt.Sprintf("the server answered %d without an error of ours", status)}
	}
	return body.Error
}
