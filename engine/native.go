package engine

import (
	"context"
	"time"

	"hyperlight/engine/feed"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/model"
	"hyperlight/engine/relay"
)

// nativeCheck is how often the polls of native answers are looked at.
const nativeCheck = time.Second

// keepNative takes an answer of the venue that native calls are answered from.
func (v *lighterVenue) keepNative(name string, body []byte) {
	if err := v.polled.Keep(name, body, v.e.now()); err != nil {
		v.polled.Failed(name, v.e.now())
		v.log.Warn("native answer not kept", "call", name, "error", err)
	}
}

// pollNative repeats the polls that native calls are answered from while somebody asks for them.
func (v *lighterVenue) pollNative(ctx context.Context) {
	t := time.NewTicker(nativeCheck)
	defer t.Stop()
	for {
		for _, name := range v.polled.Due(v.e.now()) {
			if err := v.rest.Refresh(ctx, name); err != nil && ctx.Err() == nil {
				v.polled.Failed(name, v.e.now())
				v.log.Warn("native poll failed", "call", name, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-v.polled.Wake():
		}
	}
}

// openRelay makes what passes native calls on, within the venue's budget.
func (v *lighterVenue) openRelay() (err error) {
	e := v.e
	o := relay.Options{
		BaseURL: e.o.Lighter.RESTURL, Budget: v.budget,
		AccountBudget: feed.NewBudget(e.o.Lighter.AccountBudgetPerMinute, e.now), Now: e.now, Timeout: e.o.Lighter.Timeout.D(),
		UserAgent: v.userAgent(), CacheBytes: int(e.o.Relay.Cache), Logger: e.log,
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = -1 // the relay takes 0 as its default
	}
	if e.o.Relay.AnswerLocally {
		o.Local = e.Local()
	}
	v.relay, err = relay.New(o)
	return err
}

// Relay passes native calls on; nil where no venue is followed.
func (e *Engine) Relay() *relay.Relay {
	if e.lighter == nil {
		return nil
	}
	return e.lighter.relay
}

// TakeMessage takes one message to the venue's stream out of the allowance of this address; false where none is left.
func (e *Engine) TakeMessage() bool { return e.lighter != nil && e.lighter.supervisor.TakeMessage() }

// Local returns what answers native calls from memory and store.
func (e *Engine) Local() *relay.Answers {
	return relay.NewLocal(relay.LocalOptions{
		Venue: lighterID, Markets: e.registry, History: e.reader, Live: e.lighter.live, Polled: e.lighter.polled,
		Enter: e.Enter, Now: e.now,
	})
}

const fundingCall = "funding-rates"

// FundingRates returns the current funding rates of all markets and exchanges, the venue's own from its stream where that
// is newer than the last poll. Without a poll of the last minute the venue is asked; an upstream_error where that fails.
func (e *Engine) FundingRates(ctx context.Context) (*model.FundingRates, error) {
	v := e.lighter
	if v == nil {
		return nil, &model.Error{Code: model.CodeUpstream, Message: "the venue is not followed, there are no funding rates"}
	}
	wait, cancel := context.WithTimeout(ctx, time.Duration(e.o.Lighter.Timeout))
	defer cancel()
	k, ok := v.polled.Await(wait, fundingCall, e.now)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case !ok:
		return nil, &model.Error{Code: model.CodeUpstream, Message: "the venue does not answer"}
	}
	return v.fundingRates(k)
}

func (v *lighterVenue) fundingRates(k *relay.Kept) (*model.FundingRates, error) {
	out := &model.FundingRates{}
	var ok bool
	if out.Venue, ok = k.Answer.Member(nil, "funding_rates"); !ok {
		return nil, &model.Error{Code: model.CodeUpstream, Message: "the venue told no funding rates"}
	}
	rows, err := lighter.ParseFundingRates(k.Answer.Append(nil, nil, nil))
	if err != nil {
		return nil, &model.Error{Code: model.CodeUpstream, Message: "the venue told no usable funding rates"}
	}
	at := model.Millis(k.At.UnixMilli())
	for _, r := range rows {
		row := model.FundingRate{Native: r.Native, Symbol: r.Symbol, Exchange: r.Exchange, Rate: r.Rate, UpdatedAt: at}
		if r.Exchange == "lighter" {
			v.overlay(&row)
		}
		out.Rows = append(out.Rows, row)
	}
	return out, nil
}

// overlay puts what the stream told later than the poll into a row of the venue's own.
func (v *lighterVenue) overlay(row *model.FundingRate) {
	m, ok := v.registry.ByNative(lighterID, row.Native)
	if !ok {
		return
	}
	s, recv := v.live.Stats(m.ID)
	if s == nil {
		return
	}
	const prices = model.HasMark | model.HasIndex
	if s.Has&prices == prices {
		row.Mark, row.Index, row.HasPrices = s.Mark, s.Index, true
	}
	if s.Has&model.HasCurrentFundingRate != 0 && recv.Millis() > row.UpdatedAt {
		row.Rate, row.UpdatedAt = s.CurrentFundingRate, recv.Millis()
	}
}
