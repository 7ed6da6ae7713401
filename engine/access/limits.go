package access

import (
	"net/netip"

	"github.com/google/uuid"

	"hyperlight/engine/model"
)

// limits is what Access counts: rate windows, credits, usage and kept answers.
type limits struct{}

// openLimits makes the counters and restores what the store holds of them. New calls it once.
func (a *Access) openLimits(Options) error { return nil }

// flush writes what changed since the last call. Run calls it every few seconds and once at the end.
func (a *Access) flush(model.Millis) error { return nil }

// Take asks the caller's rate window for one request.
func (a *Access) Take(p *Principal, now model.Millis) Decision { return Decision{OK: true} }

// TakeIP asks the window of an address for one request.
func (a *Access) TakeIP(client netip.Addr, class IPClass, now model.Millis) Decision {
	return Decision{OK: true}
}

// Reserve takes credits from the account's month.
func (a *Access) Reserve(p *Principal, cost int64, now model.Millis) (Credits, error) {
	return Credits{}, nil
}

// RouteID names a route in usage rows; it is good for this process only.
type RouteID uint16

// Use is one answered call.
type Use struct {
	Route  RouteID
	Status int
	Cost   int64 // what Reserve took; 0 where it was refused or not asked
	// Reserved is the now that Reserve was called with: credits go back to the month they came from. 0: the now of Settle.
	Reserved model.Millis
}

// Settle counts an answered call.
func (a *Access) Settle(p *Principal, u Use, now model.Millis) {}

// Spend takes credits for messages on a socket.
func (a *Access) Spend(p *Principal, credits int64, now model.Millis) bool { return true }

// Route returns the id of a route's name.
func (a *Access) Route(name string) RouteID { return 0 }

// Counts are the figures of usage.
type Counts struct {
	Requests    int64 `json:"requests"` // without the rate limited ones
	Credits     int64 `json:"credits"`
	Errors      int64 `json:"errors"` // statuses of 400 and above other than 429
	RateLimited int64 `json:"rate_limited"`
}

// UsageHour is what one caller used in one hour.
type UsageHour struct {
	Timestamp model.Millis `json:"timestamp"`
	Counts
	Endpoints map[string]int64 `json:"endpoints"`
}

// Month is what an account has spent in a calendar month (UTC).
type Month struct {
	Period     string `json:"period"`
	Used       int64  `json:"credits_used"`
	Limit      int64  `json:"credits_limit"`
	Remaining  int64  `json:"credits_remaining"`
	Overage    int64  `json:"overage_credits"`
	OverageUSD string `json:"overage_usd"`
}

// Usage is the body of contract 2.9.5.
type Usage struct {
	KeyID  string      `json:"key_id"`
	Hours  []UsageHour `json:"usage"`
	Totals Counts      `json:"totals"`
	Month  Month       `json:"month"`
}

// KeyUsage returns what a key used in from <= t < to.
func (a *Access) KeyUsage(p *Principal, id uuid.UUID, from, to model.Millis) (*Usage, error) {
	return &Usage{}, nil
}

// UsageOf returns what a key, a user (JWT) or the local caller (uuid.Nil) used.
func (a *Access) UsageOf(id uuid.UUID, from, to model.Millis) ([]UsageHour, Counts, error) {
	return nil, Counts{}, nil
}

// Month returns what an account has spent in the month of now under a plan.
func (a *Access) Month(account string, plan *Plan, now model.Millis) Month { return Month{} }

// Answer is a kept first answer.
type Answer struct {
	Status int
	Body   []byte
}

// Begin starts a call that carries an Idempotency-Key.
func (a *Access) Begin(account, route, key string, bodyHash [32]byte) (kept *Answer, done func(status int, body []byte), err error) {
	return nil, func(int, []byte) {}, nil
}
