package desk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/engine/signal"
	"hyperlight/engine/signal/delivery"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// held is a signal in memory. Desk.mu guards its fields; info and channels are replaced, never changed.
type held struct {
	patching  sync.Mutex // one patch at a time; not guarded by Desk.mu
	info      *Signal    // its state members are filled in by view
	channels  []record.SignalChannel
	revision  uint64 // grows when what the evaluator knew is forgotten
	triggers  uint64
	last      model.Millis
	failures  int
	suspended bool
	paused    bool // by the plan; not in the store
	disabled  []string
	dirty     bool   // the state in the store lags behind
	saved     []byte // the evaluator's state in the store
}

// adopt takes over what a draft does not change.
func (h *held) adopt(from *held) {
	h.revision, h.triggers, h.last, h.failures = from.revision, from.triggers, from.last, from.failures
	h.suspended, h.disabled, h.saved = from.suspended, from.disabled, from.saved
}

// forgive lifts what a draft lifts: enabling a suspension and its failures, other channels that a receiver was gone.
func (h *held) forgive(d *Draft) {
	if d.enables() {
		h.suspended, h.failures = false, 0
	}
	if d.enables() || d.Channels != nil {
		h.disabled = nil
	}
}

func (h *held) view() Signal {
	s := *h.info
	s.Suspended, s.Paused, s.Triggers, s.LastTriggered = h.suspended, h.paused, h.triggers, h.last
	s.Channels = make([]Channel, len(h.channels))
	for i, c := range h.channels {
		s.Channels[i] = Channel{URL: c.URL, Disabled: slices.Contains(h.disabled, c.URL)}
	}
	return s
}

func (h *held) active() bool { return h.info.Enabled && !h.suspended && !h.paused }

func older(a, b *held) int {
	if a.info.Created != b.info.Created {
		return int(min(max(a.info.Created-b.info.Created, -1), 1))
	}
	return bytes.Compare(a.info.ID[:], b.info.ID[:])
}

// Desk is the live side of all signals. Its methods may be called from any goroutine; OnEvent and OnTick are a market
// listener's.
type Desk struct {
	o     Options
	log   *slog.Logger
	queue *delivery.Queue
	fired chan firing
	wake  chan struct{} // some held is dirty

	changing sync.Mutex // one writer of the families s and t at a time
	mu       sync.RWMutex
	signals  map[uuid.UUID]*held
	owners   map[uuid.UUID][]*held // oldest first
	watches  atomic.Pointer[map[model.MarketID]*watch]
}

// maxFired bounds the triggers that wait for the writer.
const maxFired = 8192

// maxSkew is how far our clock and the venue's may differ; what lies farther ahead was stored before a clock was set back.
const maxSkew = model.Millis(600_000)

// Open reads the signals of the store and what waits to be delivered. Nothing is delivered before Run.
func Open(o Options) (*Desk, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Admits == nil {
		o.Admits = func(uuid.UUID) bool { return true }
	}
	d := &Desk{
		o: o, log: o.Logger.With("component", "signals"), fired: make(chan firing, maxFired), wake: make(chan struct{}, 1),
		signals: map[uuid.UUID]*held{}, owners: map[uuid.UUID][]*held{},
	}
	d.watches.Store(&map[model.MarketID]*watch{})
	if err := d.load(context.Background()); err != nil {
		return nil, fmt.Errorf("load signals: %w", err)
	}
	w := o.Delivery
	w.Store, w.Now, w.Logger = o.Store, o.Now, o.Logger
	w.Known, w.Secrets, w.Finished = d.known, d.secrets, d.finished
	var err error
	if d.queue, err = delivery.Open(context.Background(), w); err != nil {
		return nil, err
	}
	return d, nil
}

// SetPolicy changes which addresses may be called, from the next call on.
func (d *Desk) SetPolicy(p delivery.Policy) { d.queue.SetPolicy(p) }

func (d *Desk) now() model.Millis { return model.Millis(d.o.Now().UnixMilli()) }

func (d *Desk) load(ctx context.Context) error {
	states := map[uuid.UUID]signal.State{}
	for row, err := range d.o.Store.Scan(ctx, key.All(key.Signals)) {
		if err != nil {
			return err
		}
		k, err := key.ParseSignal(row.Key)
		if err != nil {
			return err
		}
		r, err := record.DecodeSignal(row.Value)
		if err != nil {
			return err
		}
		rule, err := signal.ParseRule([]byte(r.Rule), "rule_definition")
		if err != nil {
			return fmt.Errorf("read the rule of %x: %w", k.ID, err)
		}
		info := &Signal{
			ID: k.ID, Owner: k.User, Name: r.Name, Market: r.Market, Rule: rule, Cooldown: time.Duration(r.Cooldown) * time.Second,
			Enabled: r.Enabled, Created: r.Created, Updated: r.Updated, Native: int64(r.Market),
		}
		if m, ok := d.o.Markets.Get(r.Market); ok {
			info.Native, info.Symbol = m.Native, m.Symbol
		}
		h := &held{info: info, channels: r.Channels}
		if states[k.ID], err = d.loadState(h); err != nil {
			return err
		}
		d.signals[k.ID] = h
		d.owners[k.User] = append(d.owners[k.User], h)
	}
	for owner, all := range d.owners {
		slices.SortFunc(all, older)
		n := d.allowed(owner)
		for i, h := range all {
			state := states[h.info.ID]
			if i >= n { // maybe since the last start
				h.paused, state = true, state.Reset()
			}
			w := d.watch(h.info.Market)
			w.infos[h.info.ID] = armed{info: h.info}
			w.eval.Set(h.info.ID, h.info.Rule, h.active(), h.info.Cooldown, state)
		}
	}
	return nil
}

func (d *Desk) loadState(h *held) (state signal.State, err error) {
	err = d.o.Store.Get(key.SignalState(nil, h.info.ID), func(v []byte) error {
		r, err := record.DecodeSignalState(v)
		if err != nil {
			return err
		}
		h.triggers, h.last, h.failures = r.Triggers, r.LastTriggered, int(r.Failures)
		h.suspended, h.disabled, h.saved = r.Suspended, r.Disabled, r.Evaluator
		// A state that cannot be read costs a cooldown, not the server's start.
		if state, err = signal.DecodeState(r.Evaluator); err != nil {
			d.log.Warn("state of a signal cannot be read, it begins anew", "signal_id", h.info.ID, "err", err)
		}
		return nil
	})
	if errors.Is(err, kv.ErrNotFound) {
		err = nil
	}
	if ahead := d.now() + maxSkew; state.Last > ahead { // the clock was set back: nothing is silent until it comes there again
		state.Last = ahead - maxSkew
	}
	return state, err
}

// put writes a signal with its state. Desk.changing must be held.
func (d *Desk) put(h *held, state signal.State) error {
	i := h.info
	r := record.Signal{
		Name: i.Name, Market: i.Market, Rule: string(i.Rule.AppendJSON(nil)), Channels: h.channels, Cooldown: uint32(i.Cooldown / time.Second),
		Enabled: i.Enabled, Created: i.Created, Updated: i.Updated,
	}
	h.saved = signal.AppendState(nil, state)
	b := d.o.Store.NewBatch()
	b.Set(key.Signal(nil, i.Owner, i.ID), record.AppendSignal(nil, &r))
	b.Set(key.SignalState(nil, i.ID), h.encode(h.triggers, h.last, h.saved))
	return stored("write signal", d.o.Store.Commit(b, kv.Sync))
}

func (h *held) encode(triggers uint64, last model.Millis, evaluator []byte) []byte {
	return record.AppendSignalState(nil, &record.SignalState{
		Evaluator: evaluator, Triggers: triggers, LastTriggered: last, Failures: uint32(h.failures), Suspended: h.suspended, Disabled: h.disabled,
	})
}

func (d *Desk) known(id uuid.UUID) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.signals[id] != nil
}

// secrets returns what calls of a signal to one of its channels are signed with.
func (d *Desk) secrets(id uuid.UUID, url string) (delivery.Secrets, error) {
	d.mu.RLock()
	h := d.signals[id]
	var c record.SignalChannel
	ok := false
	if h != nil && d.o.Admits(h.info.Owner) && !slices.Contains(h.disabled, url) {
		if i := slices.IndexFunc(h.channels, func(c record.SignalChannel) bool { return c.URL == url }); i >= 0 {
			c, ok = h.channels[i], true
		}
	}
	d.mu.RUnlock()
	if !ok {
		return nil, delivery.ErrGone
	}
	sealed := [][]byte{c.Secret}
	if len(c.Old) > 0 && d.now() < c.OldUntil {
		sealed = append(sealed, c.Old)
	}
	out := make(delivery.Secrets, 0, len(sealed))
	for i, s := range sealed {
		text, err := d.o.Box.Open(s, place(id, url))
		switch {
		case err != nil && i > 0:
			continue // the key file was replaced, and the secret set again since: that one signs
		case err != nil:
			d.log.Error("secret of a signal cannot be opened", "signal_id", id, "err", err)
			return nil, delivery.ErrSealed
		}
		b, err := delivery.SecretBytes(string(text))
		if err != nil {
			return nil, delivery.ErrSealed
		}
		out = append(out, b)
	}
	return out, nil
}

// finished counts failures in a row and takes note of receivers that are gone; the writer does the rest.
func (d *Desk) finished(o delivery.Outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.signals[o.Signal]
	if h == nil {
		return
	}
	switch {
	case o.Status == delivery.Delivered:
		h.failures = 0
	case !o.Resent && !o.Withdrawn:
		if h.failures++; h.failures >= MaxFailures && !h.suspended {
			h.suspended = true
			suspensions.Inc()
		}
	}
	if o.Gone && !slices.Contains(h.disabled, o.URL) {
		h.disabled = append(slices.Clone(h.disabled), o.URL)
	}
	h.dirty = true
	d.wakeWriter()
}

// wakeWriter has what is dirty written.
func (d *Desk) wakeWriter() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}
