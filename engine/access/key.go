package access

import (
	"net/netip"

	"github.com/google/uuid"

	"hyperlight/engine/model"
)

// Key is an API key as it stands, without the key itself: nothing but its prefix tells it from others.
type Key struct {
	ID, User   uuid.UUID
	Name       string
	Prefix     string         // the first 12 characters
	Tier       string         // the slug of the plan in force: the lower of the key's own and the user's
	AllowedIPs []netip.Prefix // empty: from anywhere
	Status     string
	Created    model.Millis
	Expires    model.Millis // 0: never
	LastUsed   model.Millis // 0: never; right to a second while the process runs
}

// KeySpec is what a new key is asked to be.
type KeySpec struct {
	Name       string   // "": default
	AllowedIPs []string // addresses and CIDR blocks
	Expires    model.Millis
	Tier       string // "": follows the user's plan
}

// KeyPatch is a change of a key; nil leaves as it is.
type KeyPatch struct {
	Name       *string
	AllowedIPs *[]string     // empty: from anywhere
	Tier       *string       // "": follows the user's plan
	Enabled    *bool         //
	Expires    *model.Millis // 0: never
}
