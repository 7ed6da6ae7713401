package desk

import (
	"context"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/engine/signal"
	"hyperlight/engine/signal/delivery"
)

// complete tells what a draft of a new signal lacks.
func (d *Draft) complete() error {
	switch {
	case d.Name == nil:
		return model.BadRequest("name", "name is missing")
	case d.Market == nil:
		return model.BadRequest("market_id", "market_id is missing")
	case d.Rule == nil:
		return model.BadRequest("rule_definition", "rule_definition is missing")
	case d.Channels == nil:
		return model.BadRequest("delivery_channels", "delivery_channels is missing")
	}
	return nil
}

func (d *Draft) enables() bool { return d.Enabled != nil && *d.Enabled }

// apply returns what a signal becomes by a draft; h stays as it is. It looks names up and takes no lock meanwhile.
func (d *Desk) apply(ctx context.Context, h *held, draft Draft) (*held, error) {
	d.mu.RLock()
	info, channels := *h.info, h.channels
	d.mu.RUnlock()
	next := &held{info: &info, channels: channels}
	if draft.Name != nil {
		if n := utf8.RuneCountInString(*draft.Name); n < 1 || n > MaxName || strings.ContainsFunc(*draft.Name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, model.BadRequest("name", fmt.Sprintf("name must have 1 to %d characters, none of them a control character", MaxName))
		}
		info.Name = *draft.Name
	}
	if draft.Market != nil {
		m, ok := d.o.Markets.Get(*draft.Market)
		if !ok {
			return nil, model.BadRequest("market_id", "market_id must name a market")
		}
		info.Market, info.Native, info.Symbol = m.ID, m.Native, m.Symbol
	}
	if draft.Cooldown != nil {
		if *draft.Cooldown < 0 || *draft.Cooldown > MaxCooldown {
			return nil, model.BadRequest("cooldown_secs", fmt.Sprintf("cooldown_secs must be from 0 to %d", MaxCooldown))
		}
		info.Cooldown = time.Duration(*draft.Cooldown) * time.Second
	}
	if draft.Enabled != nil {
		info.Enabled = *draft.Enabled
	}
	if draft.Rule != nil {
		rule, err := signal.ParseRule(draft.Rule, "rule_definition")
		if err != nil {
			return nil, err
		}
		info.Rule = rule
	}
	if draft.Channels != nil {
		changed, err := d.channels(ctx, next, *draft.Channels)
		if err != nil {
			return nil, err
		}
		next.channels = changed
	}
	info.Updated = d.now()
	return next, nil
}

// channels checks the channels that a client gives and seals their secrets. A secret that changes goes on signing beside the
// new one for a while, so that the receiver can change it in its own time.
func (d *Desk) channels(ctx context.Context, h *held, drafts []ChannelDraft) ([]record.SignalChannel, error) {
	if len(drafts) < 1 || len(drafts) > MaxChannels {
		return nil, model.BadRequest("delivery_channels", fmt.Sprintf("delivery_channels must have 1 to %d entries", MaxChannels))
	}
	out := make([]record.SignalChannel, 0, len(drafts))
	for i, c := range drafts {
		at := func(member, message string) error {
			return model.BadRequest(fmt.Sprintf("delivery_channels[%d].%s", i, member), message)
		}
		if c.Type != "webhook" {
			return nil, at("type", `type must be "webhook"`)
		}
		if slices.ContainsFunc(out, func(o record.SignalChannel) bool { return o.URL == c.URL }) {
			return nil, at("url", "url must not be given twice")
		}
		if err := d.queue.Guard().CheckURL(ctx, c.URL); err != nil {
			return nil, at("url", delivery.ErrURL.Error())
		}
		was := slices.IndexFunc(h.channels, func(o record.SignalChannel) bool { return o.URL == c.URL })
		if same([]byte(c.Secret), Masked) && was >= 0 {
			out = append(out, h.channels[was])
			continue
		}
		if n := utf8.RuneCountInString(c.Secret); n < MinSecret || n > MaxSecret {
			return nil, at("secret", fmt.Sprintf("secret must have %d to %d characters", MinSecret, MaxSecret))
		}
		if _, err := delivery.SecretBytes(c.Secret); err != nil {
			return nil, at("secret", delivery.ErrSecret.Error())
		}
		place := place(h.info.ID, c.URL)
		next := record.SignalChannel{URL: c.URL, Secret: d.o.Box.Seal([]byte(c.Secret), place)}
		if was >= 0 {
			if old, err := d.o.Box.Open(h.channels[was].Secret, place); err == nil && same(old, c.Secret) {
				out = append(out, h.channels[was])
				continue
			}
			next.Old, next.OldUntil = h.channels[was].Secret, d.now()+model.Millis(Rotation.Milliseconds())
		}
		out = append(out, next)
	}
	return out, nil
}

func same(a []byte, b string) bool { return subtle.ConstantTimeCompare(a, []byte(b)) == 1 }

// place binds a sealed secret to the signal and the address that it belongs to.
func place(id [16]byte, url string) []byte { return append(id[:len(id):len(id)], url...) }
