package access

import (
	"github.com/google/uuid"

	"hyperlight/engine/model"
)

// The roles of a user.
const (
	RoleUser     = "user"
	RoleOperator = "operator"
)

// The states of a user and of a key. A revoked key is gone: no row says so.
const (
	StatusActive   = "active"
	StatusDisabled = "disabled"
	StatusExpired  = "expired" // keys only
)

// User is an account as it stands. It holds no secret.
type User struct {
	ID             uuid.UUID
	Email          string // lower case
	Tier           string // the slug of the plan in force
	Role           string
	Status         string
	Created        model.Millis
	TermsAccepted  model.Millis // 0: never, of a user whom the operator made
	SessionVersion uint32       // tokens of another version are void
}
