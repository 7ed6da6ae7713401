package http

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/access"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/signal"
	"hyperlight/engine/signal/delivery"
	"hyperlight/engine/signal/desk"
)

// Signals keeps signals and delivers what they trigger; *desk.Desk is one. A signal that is not the owner's is not found.
// Errors that are a client's fault are *model.Error and name the member in details.field.
type Signals interface {
	Create(ctx context.Context, owner uuid.UUID, limit int, d desk.Draft) (desk.Signal, error)
	List(owner uuid.UUID, f desk.Filter, offset, limit int) (rows []desk.Signal, total int)
	Get(owner, id uuid.UUID) (desk.Signal, error)
	Patch(ctx context.Context, owner, id uuid.UUID, d desk.Draft) (desk.Signal, error)
	Delete(owner, id uuid.UUID) error
	Recent(ctx context.Context, owner, id uuid.UUID) ([]delivery.Delivery, error)
	Resend(ctx context.Context, owner, id, deliveryID uuid.UUID) (delivery.Delivery, error)
	Backtest(ctx context.Context, owner, id uuid.UUID, from, to model.Millis) (desk.Test, error)
}

// SignalOptions is what the calls about signals are answered from; without a Desk there are none.
type SignalOptions struct {
	Desk Signals
	// Heatmaps tells which part of a span the record has heatmaps of; *history.Reader's HeatmapsCovered does.
	Heatmaps func(ctx context.Context, m model.MarketID, sp history.Span) (start, end model.Millis, complete, held bool, err error)
}

// needBothTimes is what a backtest without one of them is told.
const needBothTimes = "start and end are required"

var (
	errNoDesk = &model.Error{Code: model.CodeServiceUnavailable, Message: "signals are not configured"}
	// errNoSignal is also the answer about somebody else's signal.
	errNoSignal   = model.NotFound("signal not found")
	errNoDelivery = model.NotFound("delivery not found")
)

// desk returns what keeps the signals.
func (c *call) desk() (Signals, error) {
	if c.server.signals.Desk == nil {
		return nil, errNoDesk
	}
	return c.server.signals.Desk, nil
}

// newSignal is what a signal is to be made of.
type newSignal struct{ draft desk.Draft }

func parseNewSignal(c *call) (newSignal, error) {
	o := c.object()
	d := o.draft(c)
	return newSignal{d}, o.err
}

func answerNewSignal(c *call, dst []byte, q newSignal) ([]byte, meta, error) {
	d, err := c.desk()
	if err != nil {
		return dst, meta{}, err
	}
	s, err := c.madeSignal(d)
	if err == nil {
		c.ctx.Response.Header.SetCanonical(headerReplayed, []byte("true"))
	} else {
		q.draft.ID = c.made.ID
		s, err = d.Create(c.waiting(), c.principal.User, c.principal.Plan.Signals, q.draft)
	}
	if err != nil {
		return dst, meta{}, err
	}
	at := len(dst)
	dst = s.AppendJSON(dst)
	c.kept = append([]byte(nil), dst[at:]...) // the secrets are masked in it
	return dst, meta{}, nil
}

// madeSignal returns the signal that the same call has made before, where a crash took its answer.
func (c *call) madeSignal(d Signals) (desk.Signal, error) {
	for _, id := range [...]uuid.UUID{c.made.ID, c.made.Last} {
		if s, err := d.Get(c.principal.User, id); err == nil && s.Created >= c.made.Since {
			return s, nil
		}
	}
	return desk.Signal{}, errNoSignal
}

// signalsQuery is which signals are listed.
type signalsQuery struct {
	desk.Filter
	limit, offset int
}

func parseSignals(c *call) (signalsQuery, error) {
	p := c.params()
	q := signalsQuery{limit: p.integer("limit", 50, 1, 1000), offset: p.integer("offset", 0, 0, maxOffset)}
	if m := p.market("market_id"); m != nil {
		q.Market = &m.ID
	}
	if _, given := p.get("enabled"); given {
		enabled := p.boolean("enabled")
		q.Enabled = &enabled
	}
	return q, p.err
}

func answerSignals(c *call, dst []byte, q signalsQuery) ([]byte, meta, error) {
	d, err := c.desk()
	if err != nil {
		return dst, meta{}, err
	}
	rows, total := d.List(c.principal.User, q.Filter, q.offset, q.limit)
	dst = append(dst, `{"signals":[`...)
	for i := range rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = rows[i].AppendJSON(dst)
	}
	return append(dst, "]}"...), meta{Paged: true, Total: int64(total), Limit: q.limit, Offset: q.offset}, nil
}

func parseSignalID(c *call) (uuid.UUID, error) { return c.pathID(0, errNoSignal) }

func answerSignal(c *call, dst []byte, id uuid.UUID) ([]byte, meta, error) {
	d, err := c.desk()
	if err != nil {
		return dst, meta{}, err
	}
	s, err := d.Get(c.principal.User, id)
	if err != nil {
		return dst, meta{}, err
	}
	recent, err := d.Recent(c.waiting(), c.principal.User, id)
	if err != nil {
		return dst, meta{}, err
	}
	dst = s.AppendJSON(dst)
	dst = append(dst[:len(dst)-1], `,"recent_deliveries":[`...)
	for i := range recent {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = recent[i].AppendJSON(dst)
	}
	return append(dst, "]}"...), meta{}, nil
}

// signalChange is what a signal is asked to become.
type signalChange struct {
	id    uuid.UUID
	draft desk.Draft
}

func parseSignalChange(c *call) (signalChange, error) {
	id, err := parseSignalID(c)
	if err != nil {
		return signalChange{}, err
	}
	o := c.object()
	return signalChange{id, o.draft(c)}, o.err
}

func answerSignalChange(c *call, dst []byte, q signalChange) ([]byte, meta, error) {
	d, err := c.desk()
	if err != nil {
		return dst, meta{}, err
	}
	s, err := d.Patch(c.waiting(), c.principal.User, q.id, q.draft)
	if err != nil {
		return dst, meta{}, err
	}
	return s.AppendJSON(dst), meta{}, nil
}

func answerDeletedSignal(c *call, dst []byte, id uuid.UUID) ([]byte, meta, error) {
	d, err := c.desk()
	if err != nil {
		return dst, meta{}, err
	}
	if err := d.Delete(c.principal.User, id); err != nil {
		return dst, meta{}, err
	}
	dst = append(dst, `{"id":"`...)
	dst = append(dst, id.String()...)
	return append(dst, `","deleted":true}`...), meta{}, nil
}

// resending is a delivery that is to be made once more.
type resending struct{ signal, delivery uuid.UUID }

func parseResending(c *call) (resending, error) {
	id, err := parseSignalID(c)
	if err != nil {
		return resending{}, err
	}
	d, err := c.pathID(1, errNoDelivery)
	return resending{id, d}, err
}

func answerResending(c *call, dst []byte, q resending) ([]byte, meta, error) {
	d, err := c.desk()
	if err != nil {
		return dst, meta{}, err
	}
	sent, err := d.Resend(c.waiting(), c.principal.User, q.signal, q.delivery)
	if err != nil {
		return dst, meta{}, err
	}
	at := len(dst)
	dst = sent.AppendJSON(dst)
	c.kept = append([]byte(nil), dst[at:]...)
	return dst, meta{}, nil
}

// backtestQuery is which time a signal is tried on.
type backtestQuery struct {
	id   uuid.UUID
	span span
}

func parseBacktest(c *call) (backtestQuery, error) {
	id, err := parseSignalID(c)
	if err != nil {
		return backtestQuery{}, err
	}
	p := c.params()
	q := backtestQuery{id: id}
	q.span.From, q.span.GivenFrom = p.moment("start")
	q.span.To, q.span.GivenTo = p.moment("end")
	switch most := c.principal.Plan.BacktestDays; {
	case !q.span.GivenFrom:
		p.fault("start", needBothTimes)
	case !q.span.GivenTo:
		p.fault("end", needBothTimes)
	case q.span.From >= q.span.To:
		p.fault("start", "start must be before end")
	case most != access.Unlimited && q.span.To-q.span.From > model.Millis(most)*day && p.err == nil:
		p.err = &model.Error{
			Code: model.CodeBadRequest, Message: "the plan allows backtests of " + strconv.Itoa(most) + " days, ask for a shorter range",
			Details: map[string]any{"field": "start", "limit": most},
		}
	}
	q.span = p.bounded(q.span)
	return q, p.err
}

func answerBacktest(c *call, dst []byte, q backtestQuery) ([]byte, meta, error) {
	d, err := c.desk()
	if err != nil {
		return dst, meta{}, err
	}
	if _, err := d.Get(c.principal.User, q.id); err != nil {
		return dst, meta{}, err // without waiting at the gate
	}
	ctx, leave, err := c.enterBacktest(q.span)
	if err != nil {
		return dst, meta{}, err
	}
	defer leave()
	t, err := d.Backtest(ctx, c.principal.User, q.id, q.span.From, q.span.To)
	if err != nil {
		return dst, meta{}, err
	}
	dst = append(dst, `{"signal_id":"`...)
	dst = append(dst, t.Signal.ID.String()...)
	dst = strconv.AppendInt(append(dst, `","start":`...), int64(q.span.From), 10)
	dst = strconv.AppendInt(append(dst, `,"end":`...), int64(q.span.To), 10)
	dst = strconv.AppendInt(append(dst, `,"trigger_count":`...), int64(t.Triggers), 10)
	dst = strconv.AppendInt(append(dst, `,"match_count":`...), int64(t.Matches), 10)
	dst = strconv.AppendInt(append(dst, `,"cooldown_secs":`...), int64(t.Signal.Cooldown/time.Second), 10)
	dst = strconv.AppendInt(append(dst, `,"events_evaluated":`...), int64(t.Evaluated), 10)
	dst = append(dst, `,"triggers":[`...)
	for i := range t.First {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(append(dst, `{"timestamp":`...), int64(t.First[i].At), 10)
		dst = signal.AppendMatches(append(dst, `,"matched_conditions":`...), t.First[i].Matched)
		dst = append(dst, '}')
	}
	dst = strconv.AppendBool(append(dst, `],"truncated":`...), t.Truncated)
	dst = append(dst, `,"coverage":`...)
	if dst, err = c.appendRuleCoverage(ctx, dst, &t.Signal, history.Span{From: q.span.From, To: q.span.To}); err != nil {
		return dst, meta{}, err
	}
	return append(dst, '}'), meta{}, nil
}
