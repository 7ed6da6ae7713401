package access

import (
	"errors"
	"fmt"

	"hyperlight/engine/model"
	"hyperlight/kv"
)

// The refusals are shared: they are immutable, and of one kind all read alike whatever was wrong (contract 1.2).
var (
	errUnauthorized = &model.Error{Code: model.CodeUnauthorized, Message: "missing or invalid API key"}
	errExpired      = &model.Error{Code: model.CodeForbidden, Message: "API key expired"}
	errDisabled     = &model.Error{Code: model.CodeForbidden, Message: "API key disabled"}
	errAddress      = &model.Error{Code: model.CodeForbidden, Message: "IP address not allowed"}
	errSignIn       = &model.Error{Code: model.CodeUnauthorized, Message: "invalid email or password"}
	errAccount      = &model.Error{Code: model.CodeForbidden, Message: "account disabled"}
	errNeedsUser    = &model.Error{Code: model.CodeUnauthorized, Message: "keys need a user"}
	errClosed       = &model.Error{Code: model.CodeForbidden, Message: "registration is closed"}
	errTaken        = &model.Error{Code: model.CodeConflict, Message: "email already registered"}
	errNoKey        = model.NotFound("API key not found")
	errNoUser       = model.NotFound("user not found")
	errNoStore      = &model.Error{Code: model.CodeServiceUnavailable, Message: "accounts are not available"}
	errSetup        = &model.Error{Code: model.CodeUnauthorized, Message: "setup link is not valid any more, restart for a new one"}
	errQueue        = &model.Error{Code: model.CodeServiceUnavailable, Message: "too many sign-ins at once, try again in a few seconds",
		Details: map[string]any{"retry_after": 2}}
)

// stored turns a fault of the store into what a caller may see: one that passes says so, any other is internal.
func stored(doing string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", doing, err)
	if errors.Is(err, kv.ErrReadOnly) || errors.Is(err, kv.ErrClosed) {
		return &model.Error{Code: model.CodeServiceUnavailable, Message: "storage is not ready, try again later", Err: err}
	}
	return err
}
