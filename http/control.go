package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

// Limits of the control socket. Whoever may open it is the operator; they only keep a mistake small.
const (
	maxControlBody        = 1 << 20
	maxControlConnections = 64
	// controlTimeout bounds reading a command. Writing the answer of a long export may take longer.
	controlTimeout      = 10 * time.Second
	controlWriteTimeout = 60 * time.Second
)

// ControlAccess is what the operator's commands need; *access.Access is one.
type ControlAccess interface {
	CreateUser(ctx context.Context, s access.UserSpec) (access.User, error)
	// Users lists users in a stable order, at most limit from offset on, and tells how many there are.
	Users(limit, offset int) (rows []access.User, total int)
	SetTier(email, tier string) (access.User, error)
	DisableUser(email string) (access.User, error)
	EnableUser(email string) (access.User, error)
	SetPassword(ctx context.Context, email, password string) (access.User, error)
	CreateKeyFor(email string, s access.KeySpec) (key access.Key, plain string, err error)
	// KeysOf lists the keys of a user, or of all where email is "".
	KeysOf(email string, limit, offset int) (rows []access.Key, total int, err error)
	// RevokedKeys lists keys that are gone and were used before, in the same way.
	RevokedKeys(email string, limit, offset int) (rows []access.Key, total int, err error)
	RevokeKeyByID(id uuid.UUID) (model.Millis, error)
	Plans() []*access.Plan
	// UsageOf returns what a key, a user with a token, or the local caller (uuid.Nil) used in from <= t < to.
	UsageOf(id uuid.UUID, from, to model.Millis) ([]access.UsageHour, access.Counts, error)
}

// ControlOptions configures the operator's commands. Access is required.
type ControlOptions struct {
	Access ControlAccess
	// Signals lists, deletes and sends again what users' signals are; nil: there are none.
	Signals ControlSignals
	// Lake lists, makes and checks files of the data lake; nil: there is none.
	Lake ControlLake
	// Storage answers what is about the store itself; nil: there is none.
	Storage ControlStorage
	Now     func() time.Time // nil: time.Now
	Logger  *slog.Logger     // nil: none
}

// Control answers the operator's commands: over a Unix socket of the running server, or called directly by a command that
// holds the store itself. Its methods may be called from any goroutine.
type Control struct {
	access   ControlAccess
	storage  ControlStorage // nil: no store
	signals  ControlSignals // nil: no signals
	lake     ControlLake    // nil: no data lake
	now      func() time.Time
	log      *slog.Logger
	commands map[string]controlCommand
	server   *fasthttp.Server
}

// controlCommand decodes its arguments and returns what is encoded as the answer.
type controlCommand func(ctx context.Context, body []byte) (any, error)

// NewControl returns the operator's commands.
func NewControl(o ControlOptions) *Control {
	c := &Control{access: o.Access, storage: o.Storage, signals: o.Signals, lake: o.Lake, now: o.Now, log: o.Logger}
	if c.now == nil {
		c.now = time.Now
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.commands = map[string]controlCommand{
		"user/create": command(c.createUser), "user/list": command(c.listUsers),
		"user/set-tier": command(c.setTier), "user/disable": command(c.disableUser),
		"user/enable": command(c.enableUser), "user/set-password": command(c.setPassword),
		"key/create": command(c.createKey), "key/list": command(c.listKeys), "key/revoke": command(c.revokeKey),
		"tier/list": command(c.listTiers), "usage/list": command(c.listUsage),
	}
	if c.signals != nil {
		c.commands["signal/list"], c.commands["signal/show"] = command(c.listSignals), command(c.showSignal)
		c.commands["signal/resend"], c.commands["signal/delete"] = command(c.resendDelivery), command(c.deleteSignal)
	}
	if c.lake != nil {
		c.commands["lake/list"], c.commands["lake/make"], c.commands["lake/verify"] = command(c.listLake), command(c.makeLake), command(c.verifyLake)
		c.commands["lake/progress"], c.commands["lake/stop"] = command(c.lakeProgress), command(c.stopLake)
	}
	if c.storage != nil {
		c.commands["backup/create"] = command(c.createBackup)
		c.commands["check/begin"], c.commands["check/end"] = command(c.beginCheck), command(c.endCheck)
	}
	c.server = &fasthttp.Server{
		Handler: c.serve, Name: "hyperlight", MaxRequestBodySize: maxControlBody, Concurrency: maxControlConnections,
		ReadTimeout: controlTimeout, WriteTimeout: controlWriteTimeout, IdleTimeout: controlTimeout,
		NoDefaultContentType: true, CloseOnShutdown: true, Logger: controlLog{c.log},
		ErrorHandler: func(ctx *fasthttp.RequestCtx, err error) {
			answer := controlFault(model.BadRequest("", "request cannot be read"))
			if errors.Is(err, fasthttp.ErrBodyTooLarge) {
				answer = controlFault(errTooLarge)
			}
			ctx.SetStatusCode(answer.status)
			ctx.SetBody(answer.body)
		},
	}
	return c
}

// command makes a controlCommand of a function with typed arguments.
func command[In, Out any](fn func(context.Context, *In) (Out, error)) controlCommand {
	return func(ctx context.Context, body []byte) (any, error) {
		in := new(In)
		if err := decodeControl(body, in); err != nil {
			return nil, err
		}
		return fn(ctx, in)
	}
}

// Answer runs a command, named as user/create, with a JSON object as its arguments. It returns an HTTP status and the
// JSON answer: the result, or {"error":{...}} where status is not 200. It never panics.
func (c *Control) Answer(ctx context.Context, name string, body []byte) (status int, answer []byte) {
	a := c.answer(ctx, name, body)
	level := slog.LevelDebug
	if a.status == fasthttp.StatusOK && !strings.HasSuffix(name, "/list") && !strings.HasSuffix(name, "/progress") {
		level = slog.LevelInfo // who may do what has changed
	}
	c.log.Log(ctx, level, "operator command", "command", a.name, "status", a.status)
	return a.status, a.body
}

type controlAnswer struct {
	name   string // a known command, "" for another
	status int
	body   []byte
}

func (c *Control) answer(ctx context.Context, name string, body []byte) (a controlAnswer) {
	run, known := c.commands[name]
	if !known {
		return controlFault(model.NotFound("no such command, there are " + strings.Join(slices.Sorted(maps.Keys(c.commands)), ", ")))
	}
	defer func() {
		if r := recover(); r != nil {
			c.log.Error("operator command panicked", "command", name, "error", fmt.Sprint(r))
			a = controlFault(errInternal)
		}
		a.name = name
	}()
	if len(body) > maxControlBody {
		return controlFault(errTooLarge)
	}
	out, err := run(ctx, body)
	if err != nil {
		return controlFault(err)
	}
	text, err := json.Marshal(out)
	if err != nil {
		return controlFault(fmt.Errorf("encode answer: %w", err))
	}
	return controlAnswer{status: fasthttp.StatusOK, body: text}
}

// ControlError is the error of a command as it travels.
type ControlError struct {
	Code    model.Code     `json:"code"`
	Message string         `json:"message"`
	Details map[string]any `json:"details,omitempty"`
	// Cause is the error below. Clients of the API never see one; the operator, who has the machine, does.
	Cause string `json:"cause,omitempty"`
}

// Error returns the message with its cause.
func (e *ControlError) Error() string {
	if e.Cause != "" {
		return e.Message + ": " + e.Cause
	}
	return e.Message
}

type controlErrorBody struct {
	Error *ControlError `json:"error"`
}

func controlFault(err error) controlAnswer {
	e, known := errors.AsType[*model.Error](err)
	if !known {
		e = &model.Error{Code: model.CodeInternal, Message: "the command failed", Err: err}
	}
	out := &ControlError{Code: e.Code, Message: e.Message, Details: e.Details}
	if e.Err != nil {
		out.Cause = e.Err.Error()
	}
	text, err := json.Marshal(controlErrorBody{out})
	if err != nil { // details that JSON has no form for
		out.Details = nil
		text, _ = json.Marshal(controlErrorBody{out})
	}
	return controlAnswer{status: statusOf(e.Code), body: text}
}

// serve is the handler of the socket: POST /user/create with a JSON body.
func (c *Control) serve(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("application/json")
	if !ctx.IsPost() {
		answer := controlFault(&model.Error{Code: model.CodeMethodNotAllowed, Message: "use POST"})
		ctx.SetStatusCode(answer.status)
		ctx.SetBody(answer.body)
		return
	}
	status, body := c.Answer(ctx, strings.TrimPrefix(string(ctx.Path()), "/"), ctx.PostBody())
	ctx.SetStatusCode(status)
	ctx.SetBody(body)
}

// Serve answers commands on a listener until Shutdown; ListenControl makes the listener.
func (c *Control) Serve(ln net.Listener) error {
	if err := c.server.Serve(ln); err != nil {
		return fmt.Errorf("serve control socket: %w", err)
	}
	return nil
}

// Shutdown lets running commands end, no longer than ctx, and removes the socket.
func (c *Control) Shutdown(ctx context.Context) error {
	if err := c.server.ShutdownWithContext(ctx); err != nil {
		return fmt.Errorf("close control socket: %w", err)
	}
	return nil
}

// controlLog takes what fasthttp says of connections that broke off.
type controlLog struct{ log *slog.Logger }

// Printf implements fasthttp.Logger.
func (l controlLog) Printf(format string, args ...any) {
	l.log.Debug("control connection failed", "error", fmt.Sprintf(format, args...))
}
