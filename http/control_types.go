package http

import (
	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

// ControlNewUser are the arguments of user/create.
type ControlNewUser struct {
	Email    string `json:"email"`
	Tier     string `json:"tier,omitempty"`     // "": access.default_tier
	Role     string `json:"role,omitempty"`     // "": user
	Password string `json:"password,omitempty"` // "": cannot sign in
}

// ControlUserTier are the arguments of user/set-tier.
type ControlUserTier struct {
	Email string `json:"email"`
	Tier  string `json:"tier"`
}

// ControlPassword are the arguments of user/set-password.
type ControlPassword struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

// ControlEmail are the arguments of user/disable and user/enable.
type ControlEmail struct {
	Email string `json:"email"`
}

// ControlPage are the arguments of lists: at most Limit rows (0: 1,000) from Offset on.
type ControlPage struct {
	Limit  int `json:"limit,omitempty"`
	Offset int `json:"offset,omitempty"`
}

// ControlList is a page of rows, and how many there are in all.
type ControlList[T any] struct {
	Rows  []T `json:"rows"`
	Total int `json:"total"`
}

// ControlUser is a user as the operator sees it. Times are null where there is none.
type ControlUser struct {
	ID            string        `json:"id"`
	Email         string        `json:"email"`
	Tier          string        `json:"tier"`
	Role          string        `json:"role"`
	Status        string        `json:"status"`
	Created       *model.Millis `json:"created_at"`
	TermsAccepted *model.Millis `json:"terms_accepted_at"`
}

// ControlNewKey are the arguments of key/create.
type ControlNewKey struct {
	Email      string       `json:"email"`
	Name       string       `json:"name,omitempty"` // "": default
	Tier       string       `json:"tier,omitempty"` // "": follows the user's
	Expires    model.Millis `json:"expires_at,omitempty"`
	AllowedIPs []string     `json:"allowed_ips,omitempty"`
}

// ControlKeys are the arguments of key/list.
type ControlKeys struct {
	Email string `json:"email,omitempty"` // "": of everybody
	ControlPage
}

// ControlKey is a key as the operator sees it.
type ControlKey struct {
	ID         string        `json:"id"`
	User       string        `json:"user"` // e-mail
	Name       string        `json:"name"`
	Prefix     string        `json:"prefix"`
	Tier       string        `json:"tier"`
	AllowedIPs []string      `json:"allowed_ips"`
	Status     string        `json:"status"`
	Created    *model.Millis `json:"created_at"`
	Expires    *model.Millis `json:"expires_at"`
	LastUsed   *model.Millis `json:"last_used_at"`
	// APIKey is the plain key, in the answer of key/create only.
	APIKey string `json:"api_key,omitempty"`
}

// ControlID are the arguments of key/revoke.
type ControlID struct {
	ID string `json:"id"`
}

// ControlRevoked is the answer of key/revoke.
type ControlRevoked struct {
	ID      string       `json:"id"`
	Revoked model.Millis `json:"revoked_at"`
}

// ControlTier is a plan as the operator sees it; numbers are -1 where there is no limit.
type ControlTier struct {
	Slug              string  `json:"slug"`
	Tagline           string  `json:"tagline"`
	PriceUSD          *string `json:"price_usd"`
	OverageUSD        *string `json:"overage_usd"`
	RequestsPerMinute int     `json:"requests_per_minute"`
	CreditsPerMonth   int64   `json:"credits_per_month"`
	CreditPerMessage  int     `json:"credit_per_message"`
	Connections       int     `json:"max_connections"`
	Subscriptions     int     `json:"max_subscriptions"`
	HistoryDepthDays  int     `json:"history_depth_days"`
	MaxRangeDays      int     `json:"max_range_days"`
	ReplayWindowDays  int     `json:"replay_window_days"`
	ConcurrentReplays int     `json:"concurrent_replays"`
	MaxReplaySpeed    float64 `json:"max_replay_speed"`
	BatchAccounts     int     `json:"batch_accounts"`
	Keys              int     `json:"keys"`
	Signals           int     `json:"signals"`
}

// The kinds of callers whose usage is kept apart.
const (
	ControlLocal  = "local"  // calls of this machine without a credential
	ControlTokens = "tokens" // users who signed in
	ControlByKey  = "keys"
	ControlGone   = "revoked" // keys that were revoked after they had been used
)

// ControlUsageQuery are the arguments of usage/list: callers of one kind, and what they used in From <= t < To.
type ControlUsageQuery struct {
	From model.Millis `json:"from"`
	To   model.Millis `json:"to"`
	Kind string       `json:"kind"`
	// Email narrows to one user; "" is everybody.
	Email string `json:"email,omitempty"`
	// Hours asks for the single hours too.
	Hours bool `json:"hours,omitempty"`
	ControlPage
}

// ControlUsage is what one caller used. Total counts callers, those who used nothing too; they have no row.
type ControlUsage struct {
	User   string             `json:"user"`   // e-mail, or local
	KeyID  *string            `json:"key_id"` // null without a key
	Key    string             `json:"key"`    // its prefix
	Name   string             `json:"name"`
	Totals access.Counts      `json:"totals"`
	Hours  []access.UsageHour `json:"hours,omitempty"`
}
