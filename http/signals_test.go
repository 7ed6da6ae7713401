package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"hyperlight/config"
	"hyperlight/engine/access"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/seal"
	"hyperlight/engine/signal"
	"hyperlight/engine/signal/delivery"
	"hyperlight/engine/signal/desk"
	"hyperlight/kv"
)

// deskMarkets are the fixture's markets as the desk finds them.
type deskMarkets struct{}

func (deskMarkets) Get(id model.MarketID) (*model.Market, bool) {
	for _, m := range testMarkets() {
		if m.ID == id {
			return m, true
		}
	}
	return nil, false
}

// offline is a resolver that never finds a name: tests ask nobody.
var offline = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("no network in tests")
}}

// testDesk opens a real desk in a store. It delivers nothing: Run is not called.
func testDesk(t testing.TB, store *kv.Store, record signal.Record, now func() time.Time, policy delivery.Policy, plans desk.Plans) *desk.Desk {
	t.Helper()
	box, err := seal.New(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	d, err := desk.Open(desk.Options{
		Store: store, Markets: deskMarkets{}, Box: box, Record: record, Now: now, Plans: plans, Delivery: delivery.Options{Policy: policy, Resolver: offline},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const (
	testChannels = `[{"type":"webhook","url":"https://hooks.example/a","secret":"0123456789abcdef"}]`
	testRule     = `{"conditions":[{"field":"trade_price","op":"crosses_above","value":3200.5}]}`
	testSignal   = `{"name":"n","market_id":0,"rule_definition":` + testRule + `,"delivery_channels":` + testChannels + `}`
	testKeySent  = "0123456789abcdef" // the secret in testChannels
)

// edited is testSignal with a member replaced, or taken out where value is "".
func edited(t testing.TB, name, value string) string {
	t.Helper()
	m := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(testSignal), &m); err != nil {
		t.Fatal(err)
	}
	delete(m, name)
	if value != "" {
		m[name] = json.RawMessage(value)
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// create makes a signal and returns its id.
func (a *accounts) create(t testing.TB, body string, headers ...string) string {
	t.Helper()
	r := a.send(t, "POST", "/api/v1/signals", body, headers...)
	if r.Status != 201 {
		t.Fatalf("create: %d %s", r.Status, r.Body)
	}
	return fmt.Sprint(r.envelope(t).Data["id"])
}

// signals returns everybody's.
func (a *accounts) signals() []desk.Signal {
	all, _ := a.desk.List(desk.Anyone, desk.Filter{}, 0, 0)
	return all
}

// signalOf makes a signal of a user.
func (a *accounts) signalOf(t testing.TB, email string) uuid.UUID {
	t.Helper()
	users, _ := a.rules.Users(1000, 0)
	i := slices.IndexFunc(users, func(u access.User) bool { return u.Email == email })
	if i < 0 {
		t.Fatalf("no user %s", email)
	}
	name, market := "n", model.MarketID(0)
	s, err := a.desk.Create(t.Context(), users[i].ID, desk.Unlimited, desk.Draft{Name: &name, Market: &market, Rule: []byte(testRule),
		Channels: &[]desk.ChannelDraft{{Type: "webhook", URL: "https://your-app.com/webhook", Secret: testKeySent}}})
	if err != nil {
		t.Fatal(err)
	}
	return s.ID
}

// Checklist 114 and 117: what a signal is after each call, by key and by token, and that its secret is in no answer.
func TestSignals(t *testing.T) {
	t.Parallel()
	a := newAccounts(t, accountsOptions{})
	_, token := a.member(t, "a@example.com", "starter", "")
	_, key := a.key(t, "a@example.com", access.KeySpec{})
	caller := []string{"X-Api-Key", key}
	r := a.send(t, "POST", "/api/v1/signals", testSignal, caller...)
	e := r.envelope(t)
	id := fmt.Sprint(e.Data["id"])
	if _, err := uuid.Parse(id); err != nil || r.Status != 201 || r.Header["X-Credits-Cost"] != "1" {
		t.Fatalf("%d %v %s", r.Status, r.Header, r.Body)
	}
	want := `"name":"n","market_id":0,"symbol":"ETH","rule_definition":{"conditions":[{"field":"trade_price","op":"crosses_above","value":3200.5}],"logic":"AND"},` +
		`"delivery_channels":[{"type":"webhook","url":"https://hooks.example/a","secret":"********"}],"cooldown_secs":60,"enabled":true,"suspended":false,` +
		`"trigger_count":0,"last_triggered_at":null,"created_at":1706745600000,"updated_at":1706745600000`
	if !strings.Contains(string(r.Body), want) {
		t.Errorf("got %s\nwant %s", r.Body, want)
	}
	var bodies []string
	call := func(method, path, body string, headers []string, status int) envelope {
		t.Helper()
		r := a.send(t, method, path, body, headers...)
		bodies = append(bodies, string(r.Body))
		if r.Status != status {
			t.Fatalf("%s %s: %d %s", method, path, r.Status, r.Body)
		}
		return r.envelope(t)
	}
	one := "/api/v1/signals/" + id
	bearer := []string{"Authorization", "Bearer " + token}
	for _, headers := range [][]string{caller, bearer} {
		if got := call("GET", one, "", headers, 200).Data; got["id"] != id || fmt.Sprint(got["recent_deliveries"]) != "[]" {
			t.Errorf("get: %v", got)
		}
	}
	a.advance(time.Second)
	got := call("PATCH", one, `{"name":"m","market_id":1,"cooldown_secs":0,"enabled":false,"rule_definition":{"conditions":[{"field":"bid_depth","op":"lt","value":"1.50"}],"logic":"or"}}`, bearer, 200).Data
	if got["name"] != "m" || got["symbol"] != "BTC" || fmt.Sprint(got["cooldown_secs"]) != "0" || got["enabled"] != false ||
		fmt.Sprint(got["rule_definition"]) != "map[conditions:[map[field:bid_depth op:lt value:1.50]] logic:OR]" || fmt.Sprint(got["updated_at"]) != "1706745601000" ||
		fmt.Sprint(got["created_at"]) != "1706745600000" {
		t.Errorf("patch: %v", got)
	}
	if same := call("PATCH", one, `{}`, caller, 200).Data; same["name"] != "m" || same["enabled"] != false {
		t.Errorf("nothing changed: %v", same)
	}
	// A channel of the same address keeps its secret; the mask of another one is a secret that is too short.
	call("PATCH", one, `{"delivery_channels":[{"type":"webhook","url":"https://hooks.example/a","secret":"********"},{"type":"webhook","url":"https://hooks.example/b","secret":"another secret!!"}]}`, caller, 200)
	call("PATCH", one, `{"delivery_channels":[{"type":"webhook","url":"https://hooks.example/c","secret":"********"}]}`, caller, 400)
	second := a.create(t, testSignal, caller...)
	a.advance(time.Millisecond) // signals of one moment are in the order of their ids
	third := a.create(t, edited(t, "enabled", "false"), caller...)
	for query, ids := range map[string][]string{
		"": {id, second, third}, "?limit=1": {id}, "?limit=1&offset=1": {second}, "?offset=3": {}, "?market_id=0": {second, third}, "?market_id=1": {id},
		"?enabled=true": {second}, "?enabled=false": {id, third}, "?market_id=0&enabled=0&limit=9": {third},
	} {
		e := call("GET", "/api/v1/signals"+query, "", caller, 200)
		total := map[bool]int{true: len(ids), false: 3}[strings.Contains(query, "market") || strings.Contains(query, "enabled")]
		if got := e.column("signals", "id"); !slices.Equal(got, ids) || fmt.Sprint(e.Meta.Total) != fmt.Sprint(total) {
			t.Errorf("%s: %v of %v, want %v of %d", query, got, e.Meta.Total, ids, total)
		}
	}
	for _, query := range []string{"limit=0", "limit=x", "offset=-1", "enabled=perhaps", "market_id=x"} {
		call("GET", "/api/v1/signals?"+query, "", caller, 400)
	}
	if got := call("DELETE", one, "", caller, 200).Data; len(got) != 2 || got["id"] != id || got["deleted"] != true {
		t.Errorf("delete: %v", got)
	}
	for _, c := range [][2]string{{"GET", ""}, {"PATCH", ""}, {"DELETE", ""}, {"GET", "/backtest?start=0&end=1"}} {
		call(c[0], one+c[1], "", caller, 404)
	}
	for _, body := range append(bodies, a.logs.String()) {
		if strings.Contains(body, testKeySent) || strings.Contains(body, "another secret") {
			t.Errorf("a secret is in %s", body)
		}
	}
}

// Checklist 115: every bad member is told by its path, in a new signal and in a change of one.
func TestSignalFaults(t *testing.T) {
	t.Parallel()
	a := newAccounts(t, accountsOptions{})
	_, key := a.user(t, "a@example.com", "enterprise")
	one := "/api/v1/signals/" + a.create(t, testSignal, "X-Api-Key", key)
	condition := func(member, value string) string {
		m := map[string]string{"field": `"trade_price"`, "op": `"gt"`, "value": "4000"}
		m[member] = value
		text := ""
		for name, v := range m {
			if v != "" {
				text += "," + `"` + name + `":` + v
			}
		}
		return `{"conditions":[{"field":"bid_depth","op":"lt","value":1},{` + text[1:] + `}]}`
	}
	channel := func(member, value string) string {
		m := map[string]string{"type": `"webhook"`, "url": `"https://hooks.example/b"`, "secret": `"0123456789abcdef"`}
		m[member] = value
		text := ""
		for name, v := range m {
			if v != "" {
				text += "," + `"` + name + `":` + v
			}
		}
		return strings.TrimSuffix(testChannels, "]") + ",{" + text[1:] + "}]"
	}
	const rule, channels = "rule_definition", "delivery_channels"
	for _, c := range []struct{ member, value, field string }{
		{"name", `""`, "name"}, {"name", "7", "name"}, {"name", `"` + strings.Repeat("n", 101) + `"`, "name"},
		{"market_id", "9", "market_id"}, {"market_id", `"0"`, "market_id"}, {"market_id", "0.5", "market_id"},
		{"cooldown_secs", "-1", "cooldown_secs"}, {"cooldown_secs", "86401", "cooldown_secs"}, {"cooldown_secs", "1.5", "cooldown_secs"},
		{"cooldown_secs", `"60"`, "cooldown_secs"}, {"cooldown_secs", strings.Repeat("9", 30), "cooldown_secs"}, {"enabled", `"yes"`, "enabled"},
		{rule, "[]", rule}, {rule, `"x"`, rule}, {rule, "{}", rule + ".conditions"}, {rule, `{"conditions":[]}`, rule + ".conditions"},
		{rule, `{"conditions":[` + strings.Repeat(`{"field":"bid_depth","op":"lt","value":1},`, 10) + `{"field":"bid_depth","op":"lt","value":1}]}`, rule + ".conditions"},
		{rule, `{"conditions":[{"field":"bid_depth","op":"lt","value":1}],"logic":"XOR"}`, rule + ".logic"},
		{rule, `{"conditions":[{"field":"bid_depth","op":"lt","value":1}],"logic":1}`, rule + ".logic"},
		{rule, `{"conditions":[7]}`, rule + ".conditions[0]"},
		{rule, condition("field", `"trade_colour"`), rule + ".conditions[1].field"}, {rule, condition("field", ""), rule + ".conditions[1].field"},
		{rule, condition("op", `"above"`), rule + ".conditions[1].op"}, {rule, condition("op", ""), rule + ".conditions[1].op"},
		{rule, condition("value", `"many"`), rule + ".conditions[1].value"}, {rule, condition("value", "true"), rule + ".conditions[1].value"},
		{rule, condition("value", ""), rule + ".conditions[1].value"}, {rule, condition("value", strings.Repeat("9", 40)), rule + ".conditions[1].value"},
		{channels, "{}", channels}, {channels, "[]", channels}, {channels, "7", channels}, {channels, "[7]", channels + "[0]"}, {channels, "[null]", channels + "[0]"},
		{channels, channel("type", `"email"`), channels + "[1].type"}, {channels, channel("type", ""), channels + "[1].type"}, {channels, channel("type", "1"), channels + "[1].type"},
		{channels, channel("secret", `"fifteen letters"`), channels + "[1].secret"}, {channels, channel("secret", ""), channels + "[1].secret"},
		{channels, channel("secret", `"whsec_short"`), channels + "[1].secret"}, {channels, channel("secret", `"********"`), channels + "[1].secret"},
		{channels, channel("secret", "5"), channels + "[1].secret"},
		{channels, channel("url", ""), channels + "[1].url"}, {channels, channel("url", "5"), channels + "[1].url"}, {channels, channel("url", `"hooks.example"`), channels + "[1].url"},
		{channels, channel("url", `"http://hooks.example/"`), channels + "[1].url"}, {channels, channel("url", `"https://127.0.0.1/"`), channels + "[1].url"},
		{channels, channel("url", `"https://localhost/"`), channels + "[1].url"}, {channels, channel("url", `"https://10.0.0.1/"`), channels + "[1].url"},
		{channels, channel("url", `"https://[::1]/"`), channels + "[1].url"}, {channels, channel("url", `"https://169.254.169.254/latest"`), channels + "[1].url"},
		{channels, channel("url", `"ftp://hooks.example/"`), channels + "[1].url"}, {channels, channel("url", `"https://u:p@hooks.example/"`), channels + "[1].url"},
		{channels, channel("url", `"https://hooks.example:22/"`), channels + "[1].url"},
	} {
		for method, call := range map[string][2]string{"POST": {"/api/v1/signals", edited(t, c.member, c.value)}, "PATCH": {one, `{"` + c.member + `":` + c.value + `}`}} {
			r := a.send(t, method, call[0], call[1], "X-Api-Key", key)
			d := r.envelope(t).Data
			details, _ := d["details"].(map[string]any)
			if r.Status != 400 || d["code"] != "bad_request" || details["field"] != c.field {
				t.Errorf("%s %s %.60s: %d %v, want the field %s", method, c.member, c.value, r.Status, d, c.field)
			}
			// Nothing that the client did not say itself: no address that a name leads to, no text of Go.
			if text := fmt.Sprint(d["message"]); strings.ContainsAny(text, "{}\n") || strings.Contains(text, "json") || strings.Contains(text, "dial") {
				t.Errorf("%s: %s", c.field, text)
			}
		}
	}
	for _, member := range []string{"name", "market_id", "rule_definition", "delivery_channels"} {
		for _, value := range []string{"", "null"} {
			r := a.send(t, "POST", "/api/v1/signals", edited(t, member, value), "X-Api-Key", key)
			if details, _ := r.envelope(t).Data["details"].(map[string]any); r.Status != 400 || details["field"] != member {
				t.Errorf("without %s: %d %s", member, r.Status, r.Body)
			}
		}
	}
	twice := strings.Replace(testSignal, `"op":`, `"op":"gt","op":`, 1)
	deep := edited(t, "x", strings.Repeat("[", 40)+strings.Repeat("]", 40))
	for _, body := range []string{"", "[]", "{", twice, deep, testSignal + "x", `{"name":"a","name":"b"}`} {
		if r := a.send(t, "POST", "/api/v1/signals", body, "X-Api-Key", key); r.Status != 400 {
			t.Errorf("%.60s: %d %s", body, r.Status, r.Body)
		}
	}
	// What is unknown is ignored, and six channels are too many.
	a.create(t, edited(t, "colour", `"red"`), "X-Api-Key", key)
	var six []string
	for i := range 6 {
		six = append(six, fmt.Sprintf(`{"type":"webhook","url":"https://hooks.example/%d","secret":"0123456789abcdef"}`, i))
	}
	if r := a.send(t, "POST", "/api/v1/signals", edited(t, channels, "["+strings.Join(six, ",")+"]"), "X-Api-Key", key); r.Status != 400 {
		t.Errorf("six channels: %d", r.Status)
	}
	if r := a.send(t, "POST", "/api/v1/signals", edited(t, channels, "["+strings.Join(six[:5], ",")+"]"), "X-Api-Key", key); r.Status != 201 {
		t.Errorf("five channels: %d %s", r.Status, r.Body)
	}
	if e := a.do(t, "GET", "/api/v1/signals", "X-Api-Key", key).envelope(t); fmt.Sprint(e.Meta.Total) != "3" {
		t.Errorf("%v signals after all that was refused", e.Meta.Total)
	}
}

// Checklist 117: somebody else's signal is not found, in the same words as one that never was; an operator's key is no
// exception, and nobody without a user has any.
func TestAnotherUsersSignals(t *testing.T) {
	t.Parallel()
	a := newAccounts(t, accountsOptions{testOptions: testOptions{plan: "enterprise"}})
	_, key := a.user(t, "a@example.com", "growth")
	_, other := a.user(t, "b@example.com", "growth")
	_, operator := a.member(t, "op@example.com", "growth", access.RoleOperator)
	one := "/api/v1/signals/" + a.create(t, testSignal, "X-Api-Key", key)
	for name, headers := range map[string][]string{"another": {"X-Api-Key", other}, "operator": {"Authorization", "Bearer " + operator}} {
		for _, call := range [][3]string{
			{"GET", "", ""}, {"PATCH", "", `{"enabled":false}`}, {"PATCH", "", `{"name":""}`}, {"DELETE", "", ""}, {"GET", "/backtest?start=2024-01-31T23:00:00Z&end=2024-02-01", ""},
			{"POST", "/deliveries/" + uuid.NewString() + "/resend", ""},
		} {
			real := a.send(t, call[0], one+call[1], call[2], headers...)
			made := a.send(t, call[0], "/api/v1/signals/"+uuid.NewString()+call[1], call[2], headers...)
			odd := a.send(t, call[0], "/api/v1/signals/x"+call[1], call[2], headers...)
			for _, r := range []reply{real, made, odd} {
				if d := r.envelope(t).Data; r.Status != 404 || d["code"] != "not_found" || d["message"] != "signal not found" {
					t.Errorf("%s: %s %s: %d %v", name, call[0], call[1], r.Status, d)
				}
			}
		}
		if e := a.do(t, "GET", "/api/v1/signals", headers...).envelope(t); len(e.list("signals")) != 0 || fmt.Sprint(e.Meta.Total) != "0" {
			t.Errorf("%s sees %v", name, e.Data)
		}
	}
	if r := a.do(t, "GET", one, "X-Api-Key", key); r.Status != 200 || r.envelope(t).Data["enabled"] != true {
		t.Errorf("the owner: %d %s", r.Status, r.Body)
	}
	if r := a.do(t, "GET", "/api/v1/signals"); r.Status != 401 {
		t.Errorf("the local caller: %d", r.Status)
	}
}

// Checklist 118: the plan says how many signals a user may have, whichever key asks, and one that is deleted makes room.
func TestSignalLimit(t *testing.T) {
	t.Parallel()
	a := newAccounts(t, accountsOptions{})
	_, token := a.member(t, "a@example.com", "free", "")
	_, key := a.key(t, "a@example.com", access.KeySpec{})
	var last string
	for range 3 {
		last = a.create(t, testSignal, "X-Api-Key", key)
	}
	for _, headers := range [][]string{{"X-Api-Key", key}, {"Authorization", "Bearer " + token}} {
		r := a.send(t, "POST", "/api/v1/signals", testSignal, headers...)
		d := r.envelope(t).Data
		if details, _ := d["details"].(map[string]any); r.Status != 403 || d["code"] != "forbidden" || fmt.Sprint(details["limit"]) != "3" {
			t.Errorf("the fourth: %d %s", r.Status, r.Body)
		}
	}
	if r := a.do(t, "DELETE", "/api/v1/signals/"+last, "X-Api-Key", key); r.Status != 200 {
		t.Fatal(r.Status)
	}
	a.create(t, testSignal, "X-Api-Key", key)
}

// A user on a lower plan keeps its signals; those beyond the new number say that the plan pauses them, until it is raised, by a
// change of the user or of the table.
func TestSignalsPausedByPlan(t *testing.T) {
	t.Parallel()
	a := newAccounts(t, accountsOptions{})
	_, key := a.user(t, "a@example.com", "starter")
	caller := []string{"X-Api-Key", key}
	var ids []string
	for range 5 {
		a.advance(time.Millisecond)
		ids = append(ids, a.create(t, testSignal, caller...))
	}
	ctx, stop := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { _ = a.desk.Run(ctx) })
	defer ended.Wait()
	defer stop()
	want := func(paused ...string) {
		t.Helper()
		var got []string
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
			got = nil
			rows, _ := a.do(t, "GET", "/api/v1/signals", caller...).envelope(t).Data["signals"].([]any)
			for _, row := range rows {
				if s := row.(map[string]any); s["paused"] == "plan" && s["enabled"] == true && s["suspended"] == false {
					got = append(got, fmt.Sprint(s["id"]))
				} else if s["paused"] != nil {
					t.Fatalf("got %v", s)
				}
			}
			if slices.Equal(got, paused) {
				return
			}
		}
		t.Fatalf("%v are paused, want %v", got, paused)
	}
	want()
	if _, err := a.rules.SetTier("a@example.com", "free"); err != nil {
		t.Fatal(err)
	}
	want(ids[3:]...)
	if got := a.do(t, "GET", "/api/v1/signals/"+ids[4], caller...).envelope(t).Data; got["paused"] != "plan" {
		t.Errorf("got %v", got)
	}
	if r := a.send(t, "POST", "/api/v1/signals", testSignal, caller...); r.Status != 403 {
		t.Errorf("one more: %d", r.Status)
	}
	table := config.DefaultPlans()
	table[0].Signals = 4
	if err := a.rules.SetPlans(table); err != nil {
		t.Fatal(err)
	}
	want(ids[4])
	if r := a.do(t, "DELETE", "/api/v1/signals/"+ids[0], caller...); r.Status != 200 {
		t.Fatal(r.Status)
	}
	want()
	table[0].Signals = 0
	if err := a.rules.SetPlans(table); err != nil {
		t.Fatal(err)
	}
	want(ids[1:]...)
	if _, err := a.rules.SetTier("a@example.com", "enterprise"); err != nil {
		t.Fatal(err)
	}
	want()
}

// Contract 9.4: a call that is repeated makes one signal, and what is kept of its answer holds no secret.
func TestSignalIdempotencyKey(t *testing.T) {
	t.Parallel()
	a := newAccounts(t, accountsOptions{})
	_, key := a.user(t, "a@example.com", "starter")
	post := func(body string) reply {
		return a.send(t, "POST", "/api/v1/signals", body, "X-Api-Key", key, "Idempotency-Key", "k1")
	}
	first, again := post(testSignal), post(testSignal)
	if first.Status != 201 || again.Status != 201 || again.Header["Idempotent-Replayed"] != "true" ||
		fmt.Sprint(first.envelope(t).Data) != fmt.Sprint(again.envelope(t).Data) || strings.Contains(string(again.Body), testKeySent) {
		t.Errorf("%s and %s", first.Body, again.Body)
	}
	if r := post(edited(t, "name", `"other"`)); r.Status != 409 {
		t.Errorf("another body: %d", r.Status)
	}
	if e := a.do(t, "GET", "/api/v1/signals", "X-Api-Key", key).envelope(t); fmt.Sprint(e.Meta.Total) != "1" {
		t.Errorf("%v signals", e.Meta.Total)
	}
}

// Without a desk every call about signals says so.
func TestNoSignals(t *testing.T) {
	t.Parallel()
	a := newAccounts(t, accountsOptions{testOptions: testOptions{edit: func(o *Options) { o.Signals = SignalOptions{} }}})
	_, key := a.user(t, "a@example.com", "starter")
	one := "/api/v1/signals/" + uuid.NewString()
	for _, call := range [][3]string{
		{"POST", "/api/v1/signals", testSignal}, {"GET", "/api/v1/signals", ""}, {"GET", one, ""}, {"PATCH", one, "{}"}, {"DELETE", one, ""},
		{"GET", one + "/backtest?start=0&end=1", ""}, {"POST", one + "/deliveries/" + uuid.NewString() + "/resend", ""},
	} {
		if r := a.send(t, call[0], call[1], call[2], "X-Api-Key", key); r.Status != 503 || r.envelope(t).Data["code"] != "service_unavailable" {
			t.Errorf("%s %s: %d %s", call[0], call[1], r.Status, r.Body)
		}
	}
}

// tradesAt writes ETH trades into the record that backtests read, a second apart.
func (a *accounts) tradesAt(t testing.TB, first model.Millis, prices ...string) {
	t.Helper()
	w, err := history.NewWriter(history.WriterOptions{Store: a.store, Markets: deskMarkets{}.Get, Import: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	for i, price := range prices {
		row := trade(uint64(i+1), first+model.Millis(1000*i), price, "2.0000", true)
		w.OnEvent(&model.Event{Market: 0, Time: row.Time, Recv: row.Recv, Payload: &model.TradeBatch{Rows: []model.Trade{row}}}, nil)
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// Checklist 131: a backtest's window is the plan's, its times come in any form, and it tells what is held. What it counts is
// the evaluator's business and is held against live evaluation there.
func TestBacktest(t *testing.T) {
	t.Parallel()
	a := newAccounts(t, accountsOptions{})
	a.history.held[0] = []history.Interval{{From: (testNow - 7_200_000).Micros(), To: testNow.Micros()}}
	const first = testNow - 3_600_000
	a.tradesAt(t, first, "3200.50", "3201.00", "3200.00", "3200.60", "3199.00", "3300.00")
	_, key := a.user(t, "a@example.com", "starter")
	caller := []string{"X-Api-Key", key}
	id := a.create(t, edited(t, "cooldown_secs", "3"), caller...)
	path := "/api/v1/signals/" + id + "/backtest?"
	r := a.do(t, "GET", path+"start=1706742000000&end=1706745600000", caller...)
	// The price passes 3200.5 with the second, the fourth and the sixth trade; the fourth one falls into the silence.
	want := `"signal_id":"` + id + `","start":1706742000000,"end":1706745600000,"trigger_count":2,"match_count":3,"cooldown_secs":3,"events_evaluated":6,` +
		`"triggers":[{"timestamp":1706742001000,"matched_conditions":[{"field":"trade_price","op":"crosses_above","value":"3200.5","actual":"3201.00"}]},` +
		`{"timestamp":1706742005000,"matched_conditions":[{"field":"trade_price","op":"crosses_above","value":"3200.5","actual":"3300.00"}]}],"truncated":false,` +
		`"coverage":{"start":1706742000000,"end":1706745600000,"complete":true}}`
	if r.Status != 200 || !strings.Contains(string(r.Body), want) || r.Header["X-Credits-Cost"] != "1" {
		t.Fatalf("%d %s\nwant %s", r.Status, r.Body, want)
	}
	for _, form := range []string{
		"start=2024-01-31T23:00:00Z&end=2024-02-01T00:00:00Z", "start=2024-02-01T00:00:00%2B01:00&end=2024-02-01", "start=1706742000&end=1706745600",
	} {
		if got := a.do(t, "GET", path+form, caller...); got.Status != 200 || fmt.Sprint(got.envelope(t).Data) != fmt.Sprint(r.envelope(t).Data) {
			t.Errorf("%s: %d %s", form, got.Status, got.Body)
		}
	}
	for query, field := range map[string]string{
		"": "start", "start=1706742000000": "end", "end=1706745600000": "start", "start=1706745600000&end=1706745600000": "start",
		"start=1706745600001&end=1706745600000": "start", "start=soon&end=1706745600000": "start", "start=1706742000000&end=later": "end",
		"start=1706140799999&end=1706745600000": "start", // seven days and a millisecond
	} {
		got := a.do(t, "GET", path+query, caller...)
		if details, _ := got.envelope(t).Data["details"].(map[string]any); got.Status != 400 || details["field"] != field {
			t.Errorf("%s: %d %s", query, got.Status, got.Body)
		}
	}
	if got := a.do(t, "GET", path+"start=1706140800000&end=1706745600000", caller...); got.Status != 200 {
		t.Errorf("seven days: %d %s", got.Status, got.Body)
	}
	for _, c := range []struct {
		plan   string
		days   int
		status int
	}{{"free", 1, 200}, {"free", 2, 400}, {"growth", 30, 200}, {"growth", 31, 400}, {"scale", 90, 200}, {"scale", 91, 400}, {"enterprise", 4000, 200}} {
		_, key := a.user(t, fmt.Sprint(c.plan, c.days, "@example.com"), c.plan)
		id := a.create(t, testSignal, "X-Api-Key", key)
		got := a.do(t, "GET", fmt.Sprintf("/api/v1/signals/%s/backtest?start=%d&end=%d", id, testNow-model.Millis(c.days)*day, testNow), "X-Api-Key", key)
		if details, _ := got.envelope(t).Data["details"].(map[string]any); got.Status != c.status || c.status == 400 && details["limit"] == nil {
			t.Errorf("%s, %d days: %d %s", c.plan, c.days, got.Status, got.Body)
		}
	}
}

// What a backtest says of the record is what all that the rule looks at has in common.
func TestBacktestCoverage(t *testing.T) {
	t.Parallel()
	heatmaps := func(_ context.Context, m model.MarketID, sp history.Span) (start, end model.Millis, complete, held bool, err error) {
		return sp.From + 60_000, sp.To - 60_000, false, m == 0, nil
	}
	a := newAccounts(t, accountsOptions{testOptions: testOptions{edit: func(o *Options) { o.Signals.Heatmaps = heatmaps }}})
	a.history.held[0] = []history.Interval{{From: (testNow - 1_800_000).Micros(), To: testNow.Micros()}}
	_, key := a.user(t, "a@example.com", "growth")
	for rule, want := range map[string]string{
		`{"conditions":[{"field":"trade_price","op":"gt","value":1}]}`:                                                              "1706743800000 1706745600000 false",
		`{"conditions":[{"field":"heatmap_long_at_risk","op":"gt","value":1}]}`:                                                     "1706742060000 1706745540000 false",
		`{"conditions":[{"field":"heatmap_short_at_risk","op":"gt","value":1},{"field":"bid_depth","op":"gt","value":1}]}`:          "1706743800000 1706745540000 false",
		`{"conditions":[{"field":"orderbook_spread","op":"gt","value":1},{"field":"trade_size","op":"gt","value":1}],"logic":"OR"}`: "1706743800000 1706745600000 false",
	} {
		id := a.create(t, edited(t, "rule_definition", rule), "X-Api-Key", key)
		_, e := a.get(t, "/api/v1/signals/"+id+"/backtest?start=1706742000000&end=1706745600000", "X-Api-Key", key)
		c, _ := e.Data["coverage"].(map[string]any)
		if got := fmt.Sprint(c["start"], " ", c["end"], " ", c["complete"]); got != want {
			t.Errorf("%s: %s, want %s", rule, got, want)
		}
	}
	id := a.create(t, strings.Replace(edited(t, "rule_definition", `{"conditions":[{"field":"heatmap_long_at_risk","op":"gt","value":1}]}`), `"market_id":0`, `"market_id":1`, 1), "X-Api-Key", key)
	if _, e := a.get(t, "/api/v1/signals/"+id+"/backtest?start=1706742000000&end=1706745600000", "X-Api-Key", key); fmt.Sprint(e.Data["coverage"]) != "map[complete:false end:<nil> start:<nil>]" {
		t.Errorf("nothing held: %v", e.Data["coverage"])
	}
}
