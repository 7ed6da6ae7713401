package http

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/engine/signal/delivery"
	"hyperlight/engine/signal/desk"
)

// ControlSignals is what the operator's commands about signals need; *desk.Desk is one.
type ControlSignals interface {
	List(owner uuid.UUID, f desk.Filter, offset, limit int) (rows []desk.Signal, total int)
	Get(owner, id uuid.UUID) (desk.Signal, error)
	Delete(owner, id uuid.UUID) error
	Recent(ctx context.Context, owner, id uuid.UUID) ([]delivery.Delivery, error)
	Resend(ctx context.Context, owner, id, deliveryID uuid.UUID) (delivery.Delivery, error)
}

// ControlSignalList are the arguments of signal/list.
type ControlSignalList struct {
	Email string `json:"email,omitempty"` // "": of everybody
	ControlPage
}

// ControlSignal is a signal as the operator sees it; no secret is in it.
type ControlSignal struct {
	ID            string            `json:"id"`
	User          string            `json:"user"` // e-mail
	Name          string            `json:"name"`
	Market        int64             `json:"market_id"`
	Symbol        string            `json:"symbol"`
	Rule          json.RawMessage   `json:"rule_definition"`
	URLs          []string          `json:"urls"`
	Cooldown      int64             `json:"cooldown_secs"`
	Enabled       bool              `json:"enabled"`
	Suspended     bool              `json:"suspended"`
	Paused        string            `json:"paused,omitempty"` // "plan": the user's plan allows fewer signals
	Triggers      uint64            `json:"trigger_count"`
	LastTriggered *model.Millis     `json:"last_triggered_at"`
	Created       *model.Millis     `json:"created_at"`
	Deliveries    []json.RawMessage `json:"recent_deliveries,omitempty"` // of signal/show
}

// ControlResend are the arguments of signal/resend.
type ControlResend struct {
	Signal   string `json:"signal_id"`
	Delivery string `json:"delivery_id"`
}

// ControlDelivery is a delivery as the operator sees it.
type ControlDelivery struct {
	ID     string `json:"delivery_id"`
	URL    string `json:"url"`
	Status string `json:"status"`
}

// ControlDeleted is the answer of signal/delete.
type ControlDeleted struct {
	ID string `json:"id"`
}

func (c *Control) listSignals(_ context.Context, in *ControlSignalList) (*ControlList[*ControlSignal], error) {
	limit, offset, err := in.window()
	if err != nil {
		return nil, err
	}
	owner, emails := desk.Anyone, c.emails()
	if in.Email != "" {
		if owner, err = ownerOf(emails, in.Email); err != nil {
			return nil, err
		}
	}
	rows, total := c.signals.List(owner, desk.Filter{}, offset, limit)
	out := &ControlList[*ControlSignal]{Rows: make([]*ControlSignal, len(rows)), Total: total}
	for i := range rows {
		out.Rows[i] = controlSignal(&rows[i], emails[rows[i].Owner])
	}
	return out, nil
}

// ownerOf finds a user by e-mail, written as every other command takes it.
func ownerOf(emails map[uuid.UUID]string, email string) (uuid.UUID, error) {
	for id, known := range emails {
		if strings.EqualFold(known, strings.TrimSpace(email)) {
			return id, nil
		}
	}
	return uuid.Nil, model.NotFound("no such user")
}

func (c *Control) showSignal(ctx context.Context, in *ControlID) (*ControlSignal, error) {
	id, err := controlUUID("id", in.ID)
	if err != nil {
		return nil, err
	}
	s, err := c.signals.Get(desk.Anyone, id)
	if err != nil {
		return nil, err
	}
	recent, err := c.signals.Recent(ctx, desk.Anyone, id)
	if err != nil {
		return nil, err
	}
	out := controlSignal(&s, c.emails()[s.Owner])
	for i := range recent {
		out.Deliveries = append(out.Deliveries, recent[i].AppendJSON(nil))
	}
	return out, nil
}

func (c *Control) resendDelivery(ctx context.Context, in *ControlResend) (*ControlDelivery, error) {
	id, err := controlUUID("signal_id", in.Signal)
	if err != nil {
		return nil, err
	}
	which, err := controlUUID("delivery_id", in.Delivery)
	if err != nil {
		return nil, err
	}
	d, err := c.signals.Resend(ctx, desk.Anyone, id, which)
	if err != nil {
		return nil, err
	}
	return &ControlDelivery{ID: d.ID.String(), URL: d.URL, Status: d.Status.String()}, nil
}

func (c *Control) deleteSignal(_ context.Context, in *ControlID) (*ControlDeleted, error) {
	id, err := controlUUID("id", in.ID)
	if err != nil {
		return nil, err
	}
	return &ControlDeleted{ID: id.String()}, c.signals.Delete(desk.Anyone, id)
}

func controlUUID(field, text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil || id == uuid.Nil {
		return uuid.Nil, model.BadRequest(field, field+" must be an id, as signal list and signal show print them")
	}
	return id, nil
}

func controlSignal(s *desk.Signal, email string) *ControlSignal {
	out := &ControlSignal{
		ID: s.ID.String(), User: email, Name: s.Name, Market: s.Native, Symbol: s.Symbol, Rule: s.Rule.AppendJSON(nil),
		Cooldown: int64(s.Cooldown / time.Second), Enabled: s.Enabled, Suspended: s.Suspended, Triggers: s.Triggers,
		LastTriggered: millisOrNull(s.LastTriggered), Created: millisOrNull(s.Created),
	}
	if s.Paused {
		out.Paused = "plan"
	}
	for _, channel := range s.Channels {
		out.URLs = append(out.URLs, channel.URL)
	}
	return out
}
