package http

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/signal"
	"hyperlight/engine/signal/desk"
)

// draft reads what a body says of a signal, as far as JSON goes: what the members may hold is for the desk to say.
func (o *object) draft(c *call) (d desk.Draft) {
	if name, given := o.text("name"); given {
		d.Name = &name
	}
	if raw, given := o.member("market_id"); given {
		d.Market = o.existingMarket(c, raw)
	}
	if raw, given := o.member("rule_definition"); given {
		d.Rule = raw
	}
	if raw, given := o.member("delivery_channels"); given {
		d.Channels = o.channels(raw)
	}
	if raw, given := o.member("cooldown_secs"); given {
		seconds, ok := parseInt(raw)
		if !ok {
			o.fault("cooldown_secs", "cooldown_secs must be an integer from 0 to "+strconv.Itoa(desk.MaxCooldown))
		}
		d.Cooldown = &seconds
	}
	if enabled, given := o.flag("enabled"); given {
		d.Enabled = &enabled
	}
	return d
}

// member returns a member that is there; null counts as not given.
func (o *object) member(name string) (raw json.RawMessage, given bool) {
	raw, ok := o.members[name]
	return raw, ok && string(raw) != "null"
}

// existingMarket reads a market id. One that does not exist is a fault of the body: the answer not_found is about the path.
func (o *object) existingMarket(c *call, raw json.RawMessage) *model.MarketID {
	m, err := c.server.market(raw)
	switch {
	case err == errNoMarket:
		o.fault("market_id", "market_id must be the id of a market that exists")
	case err != nil && o.err == nil:
		o.err = err
	}
	if err != nil {
		return nil
	}
	return &m.ID
}

// channels reads a list of delivery channels.
func (o *object) channels(raw json.RawMessage) *[]desk.ChannelDraft {
	const name = "delivery_channels"
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		o.fault(name, name+" must be a list of channels")
		return nil
	}
	list := make([]desk.ChannelDraft, len(items))
	for i, raw := range items {
		path := name + "[" + strconv.Itoa(i) + "]"
		one := object{prefix: path + "."}
		if !bytes.HasPrefix(raw, []byte("{")) || json.Unmarshal(raw, &one.members) != nil {
			o.fault(path, path+" must be an object with type, url and secret")
			return nil
		}
		list[i].Type, _ = one.text("type")
		list[i].URL, _ = one.text("url")
		list[i].Secret, _ = one.text("secret")
		if one.err != nil && o.err == nil {
			o.err = one.err
		}
	}
	return &list
}

// appendRuleCoverage writes how much of what a signal's rule looks at is held of a span: what all of it has in common, and
// complete only if every part is.
func (c *call) appendRuleCoverage(ctx context.Context, dst []byte, s *desk.Signal, sp history.Span) ([]byte, error) {
	var sum coverageSum
	kinds := map[model.Kind]bool{}
	heatmaps := false
	for _, condition := range s.Rule.Conditions {
		switch condition.Field {
		case signal.TradePrice, signal.TradeSize, signal.TradeNotional:
			kinds[model.KindTrades] = true
		case signal.Spread, signal.BidDepth, signal.AskDepth:
			kinds[model.KindBook] = true
		case signal.FundingRate:
			kinds[model.KindStats] = true
		case signal.LongAtRisk, signal.ShortAtRisk:
			heatmaps = true
		}
	}
	for kind := range kinds {
		if err := sum.add(c.history().Covered(ctx, kind, s.Market, sp)); err != nil {
			return dst, err
		}
	}
	if heatmaps {
		covered := c.server.signals.Heatmaps
		if covered == nil {
			covered = func(context.Context, model.MarketID, history.Span) (start, end model.Millis, complete, held bool, err error) {
				return 0, 0, false, false, nil
			}
		}
		if err := sum.add(covered(ctx, s.Market, sp)); err != nil {
			return dst, err
		}
	}
	if sum.held < sum.parts {
		sum.held = 0 // of a part that the rule needs there is nothing
	}
	return sum.append(dst), nil
}
