package refresh

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"hyperlight/engine/account"
	"hyperlight/engine/feed"
	"hyperlight/engine/model"

	"go.uber.org/goleak"
)

var _ Table = (*account.Tracker)(nil)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/VictoriaMetrics/metrics.summariesSwapCron"))
}

// table is a naive Table.
type table struct {
	mu      sync.Mutex
	rows    map[model.AccountID]model.Account
	missing map[model.AccountID]model.Millis
}

func newTable() *table {
	return &table{rows: map[model.AccountID]model.Account{}, missing: map[model.AccountID]model.Millis{}}
}

func (t *table) Get(id model.AccountID, into *model.Account) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	row, ok := t.rows[id]
	if ok {
		*into = row
		into.Positions = slices.Clone(row.Positions)
	}
	return ok
}

func (t *table) Owned(a model.Address) (ids []model.AccountID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, row := range t.rows {
		if row.Address == a && a != (model.Address{}) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (t *table) Each(visit func(a *model.Account) bool) {
	t.mu.Lock()
	rows := maps.Clone(t.rows)
	t.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		if row := rows[id]; !visit(&row) {
			return
		}
	}
}

func (t *table) Polled(row *model.Account) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows[row.ID] = *row
}

func (t *table) PolledPositions(id model.AccountID, rows []model.Position, _ bool, _ model.Millis) {
	t.mu.Lock()
	defer t.mu.Unlock()
	row := t.rows[id]
	row.ID, row.Positions = id, slices.Clone(rows)
	t.rows[id] = row
}

func (t *table) Missing(id model.AccountID, at model.Millis) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.missing[id] = at
}

func (t *table) IsMissing(id model.AccountID) (model.Millis, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, ok := t.missing[id]
	return at, ok
}

// know puts accounts into the table, polled at a moment.
func (t *table) know(polled model.Millis, open bool, ids ...model.AccountID) {
	for _, id := range ids {
		row := model.Account{ID: id, Index: int64(id), Polled: polled}
		if open {
			row.Positions = []model.Position{{Market: 1, Size: 5}}
		}
		t.Polled(&row)
	}
}

func (t *table) polled(id model.AccountID) model.Millis {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rows[id].Polled
}

// asked is one call that the venue answered.
type asked struct {
	at       time.Time
	id       model.AccountID
	owner    model.Address
	priority feed.Priority
}

// venue answers from a ledger of its own, after a while, and counts.
type venue struct {
	t        *testing.T
	budget   *feed.Budget
	delay    time.Duration
	fail     func(model.AccountID) error
	open     func(model.AccountID) bool // whether an account has an open position
	mu       sync.Mutex
	unknown  func(model.AccountID) bool
	owned    map[model.Address][]model.AccountID
	log      []asked
	underway map[model.AccountID]bool
}

func newVenueOf(t *testing.T, allowance int) *venue {
	return &venue{
		t: t, budget: feed.NewBudget(allowance, time.Now), delay: 80 * time.Millisecond,
		unknown: func(id model.AccountID) bool { return id >= 1_000_000 }, open: func(id model.AccountID) bool { return id%2 == 0 },
		owned: map[model.Address][]model.AccountID{}, underway: map[model.AccountID]bool{},
	}
}

var errVenue = errors.New("the venue is down")

func (v *venue) note(ctx context.Context, p feed.Priority, a asked) error {
	if err := v.budget.Acquire(ctx, p, 1); err != nil {
		return err
	}
	a.at, a.priority = time.Now(), p
	v.mu.Lock()
	v.log = append(v.log, a)
	delay, fail := v.delay, v.fail
	v.mu.Unlock()
	time.Sleep(delay)
	if fail != nil {
		return fail(a.id)
	}
	return nil
}

// set changes what the venue does.
func (v *venue) set(change func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change()
}

func (v *venue) row(id model.AccountID) model.Account {
	v.mu.Lock()
	defer v.mu.Unlock()
	row := model.Account{ID: id, Index: int64(id), Polled: model.Millis(time.Now().Add(-v.delay).UnixMilli()), Collateral: 1}
	if v.open(id) {
		row.Positions = []model.Position{{Market: 1, Size: 5}}
	}
	for owner, all := range v.owned {
		if slices.Contains(all, id) {
			row.Address = owner
		}
	}
	return row
}

func (v *venue) Account(ctx context.Context, p feed.Priority, id model.AccountID) (model.Account, error) {
	v.mu.Lock()
	if v.underway[id] {
		v.t.Errorf("account %d is asked for twice at once", id)
	}
	v.underway[id] = true
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		delete(v.underway, id)
		v.mu.Unlock()
	}()
	if err := v.note(ctx, p, asked{id: id}); err != nil {
		return model.Account{}, err
	}
	if v.unknown(id) {
		return model.Account{}, ErrUnknown
	}
	return v.row(id), nil
}

func (v *venue) AccountsOf(ctx context.Context, p feed.Priority, owner model.Address) ([]model.Account, error) {
	if err := v.note(ctx, p, asked{owner: owner}); err != nil {
		return nil, err
	}
	v.mu.Lock()
	owned := v.owned[owner]
	v.mu.Unlock()
	var rows []model.Account
	for _, id := range owned {
		rows = append(rows, v.row(id))
	}
	if len(rows) == 0 {
		return nil, ErrUnknown
	}
	return rows, nil
}

// calls returns what was asked so far.
func (v *venue) calls() []asked {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.log)
}

// busiest returns the most calls of any rolling minute.
func busiest(calls []asked) int {
	most, from := 0, 0
	for to := range calls {
		for calls[to].at.Sub(calls[from].at) >= time.Minute {
			from++
		}
		most = max(most, to-from+1)
	}
	return most
}

// start runs a refresher; the returned function ends it.
func start(t *testing.T, o Options) (*Refresher, func()) {
	t.Helper()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.StaleAfter == 0 {
		o.StaleAfter = time.Minute
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return r, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func ids(from, to model.AccountID) []model.AccountID {
	var list []model.AccountID
	for id := from; id < to; id++ {
		list = append(list, id)
	}
	return list
}
