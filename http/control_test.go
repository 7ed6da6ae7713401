package http

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"hyperlight/config"
	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

// fakeAccess keeps users and keys in slices.
type fakeAccess struct {
	users []access.User
	keys  []access.Key
	gone  []access.Key
	fail  error
	panic bool
	asked []uuid.UUID // whose usage
}

func (f *fakeAccess) CreateUser(_ context.Context, s access.UserSpec) (access.User, error) {
	if f.panic {
		panic("boom")
	}
	if f.fail != nil {
		return access.User{}, f.fail
	}
	u := access.User{ID: uuid.New(), Email: strings.ToLower(s.Email), Tier: s.Tier, Role: s.Role, Status: access.StatusActive, Created: 7}
	f.users = append(f.users, u)
	return u, nil
}

func cut[T any](rows []T, limit, offset int) []T {
	offset = min(offset, len(rows))
	return rows[offset:min(offset+limit, len(rows))]
}

func (f *fakeAccess) Users(limit, offset int) ([]access.User, int) {
	return cut(f.users, limit, offset), len(f.users)
}

func (f *fakeAccess) user(email string) (*access.User, error) {
	for i := range f.users {
		if f.users[i].Email == email {
			return &f.users[i], nil
		}
	}
	return nil, model.NotFound("no such user")
}

func (f *fakeAccess) SetTier(email, tier string) (access.User, error) {
	u, err := f.user(email)
	if err != nil {
		return access.User{}, err
	}
	u.Tier = tier
	return *u, nil
}

func (f *fakeAccess) DisableUser(email string) (access.User, error) {
	u, err := f.user(email)
	if err != nil {
		return access.User{}, err
	}
	u.Status = access.StatusDisabled
	return *u, nil
}

func (f *fakeAccess) EnableUser(email string) (access.User, error) {
	u, err := f.user(email)
	if err != nil {
		return access.User{}, err
	}
	u.Status = access.StatusActive
	return *u, nil
}

func (f *fakeAccess) SetPassword(_ context.Context, email, password string) (access.User, error) {
	if password == "" {
		return access.User{}, model.BadRequest("password", "password must be given")
	}
	u, err := f.user(email)
	if err != nil {
		return access.User{}, err
	}
	return *u, nil
}

func (f *fakeAccess) RevokedKeys(_ string, limit, offset int) ([]access.Key, int, error) {
	return cut(f.gone, limit, offset), len(f.gone), nil
}

func (f *fakeAccess) CreateKeyFor(email string, s access.KeySpec) (access.Key, string, error) {
	u, err := f.user(email)
	if err != nil {
		return access.Key{}, "", err
	}
	k := access.Key{ID: uuid.New(), User: u.ID, Name: s.Name, Prefix: fmt.Sprintf("hlt_%08d", len(f.keys)), Tier: u.Tier, Expires: s.Expires}
	f.keys = append(f.keys, k)
	return k, "hlt_plain", nil
}

func (f *fakeAccess) KeysOf(email string, limit, offset int) ([]access.Key, int, error) {
	if email == "" {
		return cut(f.keys, limit, offset), len(f.keys), nil
	}
	u, err := f.user(email)
	if err != nil {
		return nil, 0, err
	}
	var own []access.Key
	for _, k := range f.keys {
		if k.User == u.ID {
			own = append(own, k)
		}
	}
	return cut(own, limit, offset), len(own), nil
}

func (f *fakeAccess) RevokeKeyByID(id uuid.UUID) (model.Millis, error) {
	for i, k := range f.keys {
		if k.ID == id {
			f.gone = append(f.gone, k)
			f.keys = append(f.keys[:i], f.keys[i+1:]...)
			return 9, nil
		}
	}
	return 0, model.NotFound("no such key")
}

func (f *fakeAccess) Plans() []*access.Plan {
	var list []*access.Plan
	for _, p := range access.DefaultPlans() {
		list = append(list, &p)
	}
	return list
}

func (f *fakeAccess) UsageOf(id uuid.UUID, from, to model.Millis) ([]access.UsageHour, access.Counts, error) {
	f.asked = append(f.asked, id)
	c := access.Counts{Requests: 1, Credits: 2}
	if len(f.keys) > 0 && id == f.keys[0].ID {
		c = access.Counts{} // an idle key has no row
	}
	return []access.UsageHour{{Timestamp: from, Counts: c}}, c, nil
}

func newTestControl(f *fakeAccess) *Control {
	return NewControl(ControlOptions{Access: f, Now: func() time.Time { return time.UnixMilli(1000) }})
}

// ask runs a command and reads its answer into out; a refusal is returned.
func ask(t *testing.T, c *Control, name, body string, out any) *ControlError {
	t.Helper()
	status, answer := c.Answer(t.Context(), name, []byte(body))
	err := DecodeControl(status, answer, out)
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*ControlError](err)
	if !ok {
		t.Fatalf("%s %s: %v", name, body, err)
	}
	return e
}

func TestControlRefusesWhatItDoesNotUnderstand(t *testing.T) {
	f := &fakeAccess{}
	c := newTestControl(f)
	for _, tt := range []struct{ name, body, message string }{
		{"user/create", `{"email":"a@b.c","email":"d@e.f"}`, "twice"},
		{"user/create", `{"email":"a@b.c","tier":"free","teir":"scale"}`, "no member of that name"},
		{"user/create", `{"email":"a@b.c","Tier":"scale"}`, "no member of that name"},
		{"user/create", `{"email":"a@b.c"} {}`, "one JSON object"},
		{"user/create", `["a@b.c"]`, "one JSON object"},
		{"user/create", `null`, "one JSON object"},
		{"user/create", `{"email":7}`, "email must not be a number"},
		{"user/create", `{"email":{"a":1,"a":2}}`, "twice"},
		{"user/create", strings.Repeat(`{"a":`, 40), "nest"},
		{"user/create", `{"email":"a@b.c","role":"king"}`, "role must be user or operator"},
		{"user/create", `{"email":"a@b.c","tier":"gold"}`, "tier must be one of free, starter"},
		{"user/create", ``, "email must be given"},
		{"user/set-tier", `{"email":"a@b.c"}`, "tier must be given"},
		{"user/list", `{"limit":100000}`, "limit must be from 1 to 1000"},
		{"user/list", `{"offset":-1}`, "offset must not be negative"},
		{"key/create", `{"email":"a@b.c","expires_at":999}`, "in the future"},
		{"key/revoke", `{"id":"x"}`, "id must be the id of a key"},
		{"key/revoke", `{"id":"00000000-0000-0000-0000-000000000000"}`, "id must be the id of a key"},
		{"tier/list", `{"x":1}`, "no member of that name"},
		{"usage/list", `{"from":5,"to":5,"kind":"keys"}`, "to must be after from"},
		{"usage/list", `{"from":0,"to":3000000000,"kind":"keys","hours":true}`, "at most 31 days"},
		{"usage/list", `{"from":0,"to":5,"kind":"all"}`, "kind must be"},
	} {
		e := ask(t, c, tt.name, tt.body, new(any))
		if e == nil || e.Code != model.CodeBadRequest || !strings.Contains(e.Message, tt.message) {
			t.Errorf("%s %s: %v, want %s", tt.name, tt.body, e, tt.message)
		}
	}
	if len(f.users) > 0 || len(f.keys) > 0 {
		t.Errorf("what was refused has been done: %v %v", f.users, f.keys)
	}
	if e := ask(t, c, "user/drop", `{}`, new(any)); e == nil || e.Code != model.CodeNotFound {
		t.Errorf("unknown command: %v", e)
	}
	if status, _ := c.Answer(t.Context(), "user/create", bytes.Repeat([]byte(" "), maxControlBody+1)); status != 413 {
		t.Errorf("a body of more than 1 MiB gives %d", status)
	}
}

func TestControlFaults(t *testing.T) {
	var log bytes.Buffer
	f := &fakeAccess{fail: fmt.Errorf("write user: disk full")}
	c := NewControl(ControlOptions{Access: f, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if e := ask(t, c, "user/create", `{"email":"a@b.c"}`, new(any)); e == nil || e.Code != model.CodeInternal || e.Error() != "the command failed: write user: disk full" {
		t.Errorf("got %v", e)
	}
	f.fail, f.panic = nil, true
	if e := ask(t, c, "user/create", `{"email":"a@b.c","password":"very-secret"}`, new(any)); e == nil || e.Code != model.CodeInternal {
		t.Errorf("a panic gives %v", e)
	}
	f.panic = false
	if e := ask(t, c, "user/create", `{"email":"a@b.c","password":"very-secret"}`, new(any)); e != nil {
		t.Error(e)
	}
	var k ControlKey
	if e := ask(t, c, "key/create", `{"email":"a@b.c"}`, &k); e != nil || k.APIKey != "hlt_plain" || k.User != "a@b.c" {
		t.Errorf("got %+v, %v", k, e)
	}
	if text := log.String(); strings.Contains(text, "very-secret") || strings.Contains(text, "hlt_plain") || !strings.Contains(text, `command=key/create`) {
		t.Errorf("the log is\n%s", text)
	}
	var keys ControlList[*ControlKey]
	if e := ask(t, c, "key/list", `{}`, &keys); e != nil || keys.Total != 1 || keys.Rows[0].APIKey != "" || keys.Rows[0].User != "a@b.c" {
		t.Errorf("got %+v, %v", keys.Rows[0], e)
	}
}

func TestControlUsage(t *testing.T) {
	f := &fakeAccess{}
	c := newTestControl(f)
	for _, email := range []string{"a@b.c", "d@e.f"} {
		if e := ask(t, c, "user/create", `{"email":"`+email+`"}`, new(any)); e != nil {
			t.Fatal(e)
		}
		if e := ask(t, c, "key/create", `{"email":"`+email+`"}`, new(any)); e != nil {
			t.Fatal(e)
		}
	}
	list := func(body string) string {
		t.Helper()
		var out ControlList[*ControlUsage]
		if e := ask(t, c, "usage/list", body, &out); e != nil {
			t.Fatal(e)
		}
		var who []string
		for _, r := range out.Rows {
			who = append(who, fmt.Sprintf("%s %s %d", r.User, r.Key, len(r.Hours)))
		}
		return fmt.Sprintf("%d: %s", out.Total, strings.Join(who, ", "))
	}
	for body, want := range map[string]string{
		`{"from":0,"to":5,"kind":"local"}`:                                  "1: local  0",
		`{"from":0,"to":5,"kind":"local","email":"a@b.c"}`:                  "0: ",
		`{"from":0,"to":5,"kind":"tokens","hours":true}`:                    "2: a@b.c  1, d@e.f  1",
		`{"from":0,"to":5,"kind":"tokens","limit":1,"offset":1}`:            "2: d@e.f  0",
		`{"from":0,"to":5,"kind":"tokens","email":"D@E.f ","offset":0}`:     "not found",
		`{"from":0,"to":5,"kind":"keys"}`:                                   "2: d@e.f hlt_00000001 0",
		`{"from":0,"to":5,"kind":"keys","email":"d@e.f"}`:                   "1: d@e.f hlt_00000001 0",
		`{"from":0,"to":5,"kind":"tokens","email":"d@e.f","hours":true}`:    "1: d@e.f  1",
		`{"from":0,"to":5,"kind":"tokens","email":"d@e.f","offset":1}`:      "0: ",
		`{"from":0,"to":2678400000,"kind":"keys","hours":true,"offset":50}`: "2: ",
	} {
		if want == "not found" {
			if e := ask(t, c, "usage/list", body, new(any)); e == nil || e.Code != model.CodeNotFound {
				t.Errorf("%s: %v", body, e)
			}
			continue
		}
		if got := list(body); got != want {
			t.Errorf("%s gives %q, want %q", body, got, want)
		}
	}
	if e := ask(t, c, "key/revoke", `{"id":"`+f.keys[1].ID.String()+`"}`, new(any)); e != nil {
		t.Fatal(e)
	}
	if got, want := list(`{"from":0,"to":5,"kind":"revoked"}`), "1: d@e.f hlt_00000001 0"; got != want {
		t.Errorf("revoked keys: %q, want %q", got, want)
	}
	if f.asked[0] == f.keys[0].ID && f.asked[0] == uuid.Nil {
		t.Error("the local caller is asked for as a key")
	}
}

func TestControlTiersAreWholePlans(t *testing.T) {
	var out ControlList[*ControlTier]
	if e := ask(t, newTestControl(&fakeAccess{}), "tier/list", ``, &out); e != nil {
		t.Fatal(e)
	}
	top := out.Rows[len(out.Rows)-1]
	if out.Total != len(config.DefaultPlans()) || top.Slug != "enterprise" || top.RequestsPerMinute != -1 || top.PriceUSD != nil || top.MaxReplaySpeed != 1000 {
		t.Errorf("got %+v", top)
	}
}

// serveControl runs a Control on a socket until the test ends.
func serveControl(t *testing.T, f *fakeAccess) (path string) {
	t.Helper()
	path = filepath.Join(socketDir(t), "private", "control.sock")
	ln, err := ListenControl(path)
	if err != nil {
		t.Fatal(err)
	}
	c := newTestControl(f)
	ended := make(chan error, 1)
	go func() { ended <- c.Serve(ln) }()
	t.Cleanup(func() {
		if err := errors.Join(c.Shutdown(context.Background()), <-ended); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Error("the socket is left behind")
		}
	})
	return path
}

func TestControlSocket(t *testing.T) {
	path := serveControl(t, &fakeAccess{})
	if runtime.GOOS != "windows" {
		for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
			info, err := os.Stat(name)
			if err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v, %v; want mode %o", name, info.Mode(), err, want)
			}
		}
	}
	client, err := DialControl(path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i := range 3 {
		body, err := json.Marshal(ControlNewUser{Email: fmt.Sprintf("u%d@b.c", i)})
		if err != nil {
			t.Fatal(err)
		}
		status, answer, err := client.Answer(t.Context(), "user/create", body)
		var u ControlUser
		if err := errors.Join(err, DecodeControl(status, answer, &u)); err != nil || u.Email != fmt.Sprintf("u%d@b.c", i) {
			t.Fatalf("got %+v, %v", u, err)
		}
	}
	status, answer, err := client.Answer(t.Context(), "user/create", []byte(`{"email":"x","x":1}`))
	if err != nil || status != 400 || !strings.Contains(string(answer), `"field":"x"`) {
		t.Errorf("got %d %s, %v", status, answer, err)
	}
	status, answer, err = client.Answer(t.Context(), "user/create", bytes.Repeat([]byte("x"), maxControlBody+1))
	if err == nil && (status != 413 || !strings.Contains(string(answer), "payload_too_large")) {
		t.Errorf("a long body: %d %s", status, answer)
	}
	if _, err := ListenControl(path); !errors.Is(err, ErrControlBusy) {
		t.Errorf("a second server: %v", err)
	}
	// Only POST commands.
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /user/list HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 405 ") {
		t.Errorf("GET gives %q, %v", buf[:n], err)
	}
}

func TestListenControlReplacesOnlyAStaleSocket(t *testing.T) {
	dir := socketDir(t)
	path := filepath.Join(dir, "c.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Fatal(err)
	}
	if _, err := DialControl(path); err == nil {
		t.Fatal("a stale socket answers")
	}
	ln, err := ListenControl(path)
	if err != nil {
		t.Fatalf("over a stale socket: %v", err)
	}
	ln.Close()

	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ListenControl(file); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("over a file: %v", err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "keep" {
		t.Errorf("the file is %q, %v", text, err)
	}
	if _, err := ListenControl(filepath.Join(dir, strings.Repeat("x", 104))); err == nil || !strings.Contains(err.Error(), "longer than 103 bytes") {
		t.Errorf("a long path: %v", err)
	}
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := ListenControl(filepath.Join(open, "c.sock")); runtime.GOOS != "windows" && (err == nil || !strings.Contains(err.Error(), "everybody may write")) {
		t.Errorf("in an open directory: %v", err)
	}
}

// Whatever arrives, the answer is a status with one JSON document, and nothing that is not understood is done.
func FuzzControl(f *testing.F) {
	for _, s := range []string{`{}`, `{"email":"a@b.c"}`, `{"email":"a@b.c","email":"x"}`, `{"id":"` + uuid.Nil.String() + `"}`, `[`, `{"from":0,"to":5,"kind":"keys"}`} {
		f.Add("user/create", []byte(s))
		f.Add("usage/list", []byte(s))
		f.Add("key/revoke", []byte(s))
	}
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		fake := &fakeAccess{}
		status, answer := newTestControl(fake).Answer(t.Context(), name, body)
		if status < 200 || status > 599 || !json.Valid(answer) {
			t.Fatalf("%s %q gives %d %q", name, body, status, answer)
		}
		if status != 200 && len(fake.users) > 0 {
			t.Fatalf("%s %q is refused and done", name, body)
		}
	})
}

// socketDir returns a directory of the test for sockets, whose paths have at most 103 bytes.
func socketDir(t *testing.T) string {
	t.Helper()
	if dir := t.TempDir(); len(dir) < 80 {
		return dir
	}
	dir, err := os.MkdirTemp("/tmp", "hyperlight")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
