package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"

	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/VictoriaMetrics/metrics.summariesSwapCron"))
}

const testSecret = "0123456789abcdef"

// call is what a receiver got.
type call struct {
	header http.Header
	body   string
}

// rig is a queue whose clock stands still unless the test moves it, with a receiver that answers from a list.
type rig struct {
	*Queue
	t       *testing.T
	store   *kv.Store
	signal  uuid.UUID
	url     string
	secrets Secrets
	server  *httptest.Server

	mu      sync.Mutex
	clock   time.Time
	calls   []call
	answers []func(http.ResponseWriter)
	done    []Outcome
}

func status(code int, header ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, "not now\nsecond line")
	}
}

func newRig(t *testing.T, answers ...func(http.ResponseWriter)) *rig {
	r := &rig{t: t, signal: uuid.New(), clock: time.UnixMilli(1_706_745_600_000), answers: answers, secrets: Secrets{[]byte(testSecret)}}
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.calls = append(r.calls, call{req.Header.Clone(), string(body)})
		var answer func(http.ResponseWriter)
		if len(r.answers) > 0 {
			answer, r.answers = r.answers[0], r.answers[1:]
		}
		r.mu.Unlock()
		if answer != nil {
			answer(w)
		}
	}))
	t.Cleanup(r.server.Close)
	r.url = r.server.URL + "/hook"
	r.store = kvtest.Open(t)
	r.open(r.store)
	return r
}

// open makes the queue anew, as after a restart.
func (r *rig) open(store *kv.Store) {
	if r.Queue != nil {
		r.client.Load().close()
	}
	q, err := Open(context.Background(), Options{
		Store: store, Version: "1.2.3", Policy: Policy{AllowHTTP: true, AllowPrivate: true, Ports: []uint16{portOf(r.server.URL)}},
		Known: func(id uuid.UUID) bool { return id == r.signal },
		Secrets: func(id uuid.UUID, u string) (Secrets, error) {
			if id != r.signal || u != r.url {
				return nil, ErrGone
			}
			return r.secrets, nil
		},
		Finished: func(o Outcome) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.done = append(r.done, o)
		},
		Now: func() time.Time { r.mu.Lock(); defer r.mu.Unlock(); return r.clock },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { q.client.Load().close() })
	r.Queue, r.store = q, store
}

func portOf(text string) uint16 {
	u, _ := url.Parse(text)
	n, _ := strconv.ParseUint(u.Port(), 10, 16)
	return uint16(n)
}

func (r *rig) add(n int) (ids []uuid.UUID) {
	var posts []Post
	for range n {
		id := NewID(r.now())
		ids = append(ids, id)
		posts = append(posts, Post{ID: id, Signal: r.signal, URL: r.url, TriggeredAt: r.now(), Body: []byte(`{"delivery_id":"` + id.String() + `"}`)})
	}
	b := r.store.NewBatch()
	s := r.Stage(b, posts)
	if err := r.store.Commit(b, kv.Sync); err != nil {
		r.t.Fatal(err)
	}
	r.Begin(s)
	return ids
}

// step makes the next attempt, moving the clock to when it is due, and returns how long that was; false where none waits.
func (r *rig) step() (time.Duration, bool) {
	now := r.now()
	r.Queue.mu.Lock()
	e, at := r.room.next(now, r.farthest)
	r.Queue.mu.Unlock()
	if e == nil && at == 0 {
		return 0, false
	}
	waited := time.Duration(0)
	if e == nil {
		waited = time.Duration(at-now) * time.Millisecond
		r.mu.Lock()
		r.clock = time.UnixMilli(int64(at))
		r.mu.Unlock()
		r.Queue.mu.Lock()
		e, _ = r.room.next(at, r.farthest)
		r.Queue.mu.Unlock()
	}
	r.deliver(context.Background(), e)
	return waited, true
}

func (r *rig) drain() (waits []time.Duration) {
	for {
		w, ok := r.step()
		if !ok {
			return waits
		}
		waits = append(waits, w)
	}
}

func (r *rig) only() Delivery {
	r.t.Helper()
	all, err := r.Recent(context.Background(), r.signal, 20)
	if err != nil || len(all) != 1 {
		r.t.Fatalf("got %+v, %v", all, err)
	}
	return all[0]
}

// The contract's test vector, section 4.4.
func TestSignatureVector(t *testing.T) {
	t.Parallel()
	got := Signature([]byte("0123456789abcdef"), 1706745600000, []byte(`{"event":"signal.triggered","signal_id":"s1"}`))
	if want := "sha256=c7b11923029092b5cf3fc2099a52d5c035c9f119f39f81b9c7d8e2dd0385373f"; got != want {
		t.Errorf("got %s", got)
	}
}

// A call carries the contract's headers, and those of Standard Webhooks verify with that project's own library, with the new
// secret and with the one before.
func TestCallHeaders(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const fresh, old = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "an old secret of mine"
	first, err := SecretBytes(fresh)
	if err != nil {
		t.Fatal(err)
	}
	r.secrets = Secrets{first, []byte(old)}
	r.mu.Lock()
	r.clock = time.Now() // the library looks at the wall clock
	r.mu.Unlock()
	id := r.add(1)[0]
	r.drain()
	c := r.calls[0]
	for name, want := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "Hyperlight-Webhook/1.2.3", headerEvent: "signal.triggered", headerDelivery: id.String(),
		headerAttempt: "1", headerTimestamp: strconv.FormatInt(int64(r.now()), 10), headerSignature: Signature(first, int64(r.now()), []byte(c.body)),
		headerPrevious: Signature([]byte(old), int64(r.now()), []byte(c.body)), standardID: id.String(), "Cookie": "",
	} {
		if got := c.header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	a, err := standardwebhooks.NewWebhook(fresh)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := standardwebhooks.NewWebhookRaw([]byte(old))
	if err := a.Verify([]byte(c.body), c.header); err != nil {
		t.Errorf("new secret: %v", err)
	}
	if err := b.Verify([]byte(c.body), c.header); err != nil {
		t.Errorf("old secret: %v", err)
	}
	if a.Verify([]byte(c.body+" "), c.header) == nil {
		t.Error("another body verifies")
	}
	for _, bad := range []string{"whsec_", "whsec_!!!!", "whsec_c2hvcnQ=", "whsec_" + strings.Repeat("QUFB", 30)} {
		if _, err := SecretBytes(bad); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

// Failures that may pass are retried on the schedule, give or take a tenth, with the same id and bytes and a new attempt
// number; then the delivery has failed. Success ends it.
func TestSchedule(t *testing.T) {
	t.Parallel()
	codes := []int{500, 503, 429, 408, 425, 599}
	var answers []func(http.ResponseWriter)
	for _, c := range codes {
		answers = append(answers, status(c))
	}
	r := newRig(t, answers...)
	id := r.add(1)[0]
	waits := r.drain()
	if len(waits) != 6 || waits[0] != 0 {
		t.Fatalf("got waits %v", waits)
	}
	for i, want := range []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute} {
		if got := waits[i+1]; got < want*9/10-time.Millisecond || got > want*11/10+time.Millisecond {
			t.Errorf("wait %d: got %v, want %v", i+1, got, want)
		}
	}
	for i, c := range r.calls {
		if c.body != r.calls[0].body || c.header.Get(headerDelivery) != id.String() || c.header.Get(headerAttempt) != strconv.Itoa(i+1) {
			t.Errorf("attempt %d: got %+v", i+1, c)
		}
		if got, want := c.header.Get(headerSignature), Signature([]byte(testSecret), mustInt(c.header.Get(headerTimestamp)), []byte(c.body)); got != want {
			t.Errorf("attempt %d: got signature %s", i+1, got)
		}
	}
	d := r.only()
	if d.Status != Failed || d.Attempts != 6 || d.LastStatus != 599 || d.LastError != "status 599: not now" || d.DeliveredAt != 0 || len(r.done) != 1 {
		t.Errorf("got %+v, %d outcomes", d, len(r.done))
	}
	if n, _ := r.Waiting(); n != 0 {
		t.Errorf("%d still wait", n)
	}
	for row := range r.store.Scan(context.Background(), key.All(key.DeliveryQueue)) {
		t.Errorf("row %x is left in the queue", row.Key)
	}
}

func mustInt(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

// Waits are spread over a tenth to either side.
func TestJitter(t *testing.T) {
	t.Parallel()
	least, most := time.Hour, time.Duration(0)
	for range 2000 {
		d := jittered(time.Minute)
		least, most = min(least, d), max(most, d)
	}
	if least < 54*time.Second || least > 55*time.Second || most > 66*time.Second || most < 65*time.Second {
		t.Errorf("a minute is made %v to %v", least, most)
	}
}

// A receiver that does not answer is given ten seconds, and tried again.
func TestTimeout(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(http.ResponseWriter) { time.Sleep(200 * time.Millisecond) }) // far longer than it is given here
	c := r.client.Load()
	if c.total != 10*time.Second {
		t.Errorf("a call may last %v", c.total)
	}
	c.total = 20 * time.Millisecond
	r.add(1)
	r.step()
	if d := r.only(); d.Status != Pending || d.Attempts != 1 || d.LastStatus != 0 || d.LastError != "timed out" {
		t.Errorf("got %+v", d)
	}
}

// An entry of recent_deliveries is as the contract has it, before and after it was delivered.
func TestRecentDeliveries(t *testing.T) {
	t.Parallel()
	r := newRig(t, status(500))
	id := r.add(1)[0]
	triggered := r.now()
	text := func(state string, attempts int, rest string) string {
		return fmt.Sprintf(`{"delivery_id":"%s","url":"%s","status":"%s","attempts":%d,%s`, id, r.url, state, attempts, fmt.Sprintf(rest, triggered))
	}
	check := func(want string) {
		t.Helper()
		d := r.only()
		if got := string(d.AppendJSON(nil)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	check(text("pending", 0, `"last_status_code":null,"last_error":null,"triggered_at":%d,"delivered_at":null}`))
	r.step()
	check(text("pending", 1, `"last_status_code":500,"last_error":"status 500: not now","triggered_at":%d,"delivered_at":null}`))
	r.drain()
	check(text("delivered", 2, `"last_status_code":200,"last_error":null,"triggered_at":%d,"delivered_at":`+fmt.Sprint(r.now())+`}`))
}

// What is sent again by hand has all its attempts, also where a crash comes in between.
func TestResentSurvivesCrash(t *testing.T) {
	t.Parallel()
	r := newRig(t, status(400), status(500), status(500), status(500), status(500), status(500), status(500))
	id := r.add(1)[0]
	r.drain()
	if _, err := r.Resend(r.signal, id); err != nil {
		t.Fatal(err)
	}
	r.step()
	r.open(kvtest.CrashClone(t, r.store, 0))
	r.drain()
	if d := r.only(); d.Status != Failed || d.Attempts != 7 || len(r.done) != 2 || !r.done[1].Resent {
		t.Errorf("got %+v, %+v", d, r.done)
	}
}

// What each answer means: 2xx is delivered, refusals fail at once, 410 says so, Retry-After is honoured up to ten minutes.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer   func(http.ResponseWriter)
		attempts int
		status   Status
		gone     bool
		wait     time.Duration // least wait before the second attempt
	}{
		{status(200), 1, Delivered, false, 0}, {status(204), 1, Delivered, false, 0}, {status(299), 1, Delivered, false, 0}, {status(400), 1, Failed, false, 0}, {status(401), 1, Failed, false, 0},
		{status(404), 1, Failed, false, 0}, {status(410), 1, Failed, true, 0}, {status(302, "Location", "http://127.0.0.1/"), 1, Failed, false, 0},
		{status(503, "Retry-After", "120"), 2, Delivered, false, 2 * time.Minute}, {status(429, "Retry-After", "86400"), 2, Delivered, false, 10 * time.Minute},
		{status(500, "Retry-After", time.UnixMilli(1_706_745_630_000).UTC().Format(http.TimeFormat)), 2, Delivered, false, 30 * time.Second},
		{status(500, "Retry-After", "soon"), 2, Delivered, false, 0},
		{func(w http.ResponseWriter) {
			h, _, _ := w.(http.Hijacker).Hijack()
			_ = h.Close()
		}, 2, Delivered, false, 0},
	} {
		r := newRig(t, c.answer)
		r.add(1)
		waits := r.drain()
		d := r.only()
		if d.Attempts != c.attempts || d.Status != c.status || len(r.done) != 1 || r.done[0].Gone != c.gone {
			t.Errorf("got %+v, %+v", d, r.done)
		}
		if c.attempts == 2 && (waits[1] < c.wait || c.wait > 0 && waits[1] > c.wait+time.Second) {
			t.Errorf("waited %v, want %v", waits[1], c.wait)
		}
		if (d.DeliveredAt != 0) != (c.status == Delivered) {
			t.Errorf("got %+v", d)
		}
	}
}

// An answer is never kept whole, and a certificate that nobody vouches for is no connection.
func TestAnswerKept(t *testing.T) {
	t.Parallel()
	long := func(w http.ResponseWriter) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, "\x1b[31m"+strings.Repeat("\u00e9", 9000))
	}
	r := newRig(t, long)
	r.add(1)
	r.drain()
	silent := newRig(t, func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) })
	silent.add(1)
	silent.drain()
	if d := silent.only(); d.LastError != "status 404" {
		t.Errorf("an answer without a body: %q", d.LastError)
	}
	if d := r.only(); len(d.LastError) > maxKept+20 || strings.Contains(d.LastError, "\x1b") || !strings.HasPrefix(d.LastError, "status 400: [31m\u00e9") {
		t.Errorf("got %d bytes: %.40q", len(d.LastError), d.LastError)
	}
	tls := httptest.NewTLSServer(http.NotFoundHandler())
	defer tls.Close()
	tls.Config.ErrorLog = nil
	c := newClient(NewGuard(Policy{AllowPrivate: true, Ports: []uint16{portOf(tls.URL)}}, nil), "", time.Now)
	defer c.close()
	if a := c.call(context.Background(), tls.URL, r.secrets, uuid.New(), 1, nil); a.text != "the certificate is not valid" || !a.retry {
		t.Errorf("got %+v", a)
	}
}

// Queue, attempts and outcomes survive a crash between any two attempts, and go on with the same id.
func TestQueueSurvivesCrash(t *testing.T) {
	t.Parallel()
	r := newRig(t, status(500), status(500), status(500))
	id := r.add(1)[0]
	for range 3 {
		r.step()
		r.open(kvtest.CrashClone(t, r.store, 0))
	}
	r.drain()
	if d := r.only(); d.ID != id || d.Status != Delivered || d.Attempts != 4 || len(r.calls) != 4 {
		t.Errorf("got %+v after %d calls", d, len(r.calls))
	}
	for i, c := range r.calls {
		if c.header.Get(headerDelivery) != id.String() || c.header.Get(headerAttempt) != strconv.Itoa(i+1) {
			t.Errorf("call %d: got %v", i, c.header)
		}
	}
}

// The thousand-and-first that waits for one endpoint fails at once; resending and dropping work.
func TestQueueFullResendDrop(t *testing.T) {
	t.Parallel()
	r := newRig(t, status(400))
	ids := r.add(MaxWaiting + 2)
	if len(r.done) != 2 || r.done[0].LastError != "queue_full" || r.done[0].Status != Failed {
		t.Fatalf("got %+v", r.done)
	}
	r.step() // 400
	failed := r.done[2].ID
	if _, err := r.Resend(r.signal, failed); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Resend(r.signal, failed); err != ErrPending {
		t.Errorf("got %v for one that waits", err)
	}
	if _, err := r.Resend(r.signal, NewID(r.now())); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("got %v for none", err)
	}
	if !slices.Contains(ids, failed) {
		t.Error("an id that nobody added")
	}
	for range MaxWaiting {
		r.step()
	}
	last := r.done[len(r.done)-1]
	i := slices.IndexFunc(r.done, func(o Outcome) bool { return o.Resent })
	if i < 0 || r.done[i].ID != failed || r.done[i].Status != Delivered || r.done[i].Attempts != 2 || last.Status != Delivered {
		t.Errorf("got %+v", last)
	}
	recent, err := r.Recent(context.Background(), r.signal, 20)
	if err != nil || len(recent) != 20 {
		t.Errorf("got %d recent, %v", len(recent), err)
	}
	r.add(3)
	b := r.store.NewBatch()
	r.Drop(b, r.signal)
	if err := r.store.Commit(b, kv.Sync); err != nil {
		t.Fatal(err)
	}
	if err := r.Forget(context.Background(), r.signal); err != nil {
		t.Fatal(err)
	}
	calls := len(r.calls)
	r.drain()
	r.open(r.store)
	r.drain()
	if len(r.calls) != calls {
		t.Error("a dropped delivery was sent")
	}
}

// Receivers that hang hold up nobody else: neither other owners' deliveries nor other addresses of the same owner.
func TestHangingReceiver(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	hang := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	got := make(chan string, 200)
	fine := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.URL.Path }))
	defer hang.Close()
	defer fine.Close()
	defer close(release)
	store := kvtest.Open(t)
	q, err := Open(context.Background(), Options{
		Store: store, Policy: Policy{AllowHTTP: true, AllowPrivate: true, Ports: []uint16{portOf(hang.URL), portOf(fine.URL)}},
		Known:    func(uuid.UUID) bool { return true },
		Secrets:  func(uuid.UUID, string) (Secrets, error) { return Secrets{[]byte(testSecret)}, nil },
		Finished: func(Outcome) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	q.client.Load().total = time.Hour // no call to a hanging receiver ends by itself
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); q.Run(ctx) }()
	bad, good := uuid.New(), uuid.New()
	var posts []Post
	for i := range 3 * Workers { // more hanging addresses than there are workers
		posts = append(posts, Post{ID: NewID(model.Millis(i)), Owner: bad, URL: fmt.Sprintf("%s/%d", hang.URL, i), TriggeredAt: model.Millis(i), Body: []byte("{}")})
	}
	for i := range 20 {
		posts = append(posts, Post{ID: NewID(model.Millis(1000 + i)), Owner: good, URL: fine.URL + "/good", TriggeredAt: model.Millis(1000 + i), Body: []byte("{}")})
	}
	b := store.NewBatch()
	s := q.Stage(b, posts)
	if err := store.Commit(b, kv.Sync); err != nil {
		t.Fatal(err)
	}
	q.Begin(s)
	late := time.After(time.Minute)
	for range 20 {
		select {
		case <-got:
		case <-late:
			t.Fatal("hanging receivers hold up another owner's deliveries")
		}
	}
	cancel()
	<-ended
}
