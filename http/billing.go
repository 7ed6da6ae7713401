package http

import "hyperlight/engine/model"

var errNoBilling = &model.Error{Code: model.CodeServiceUnavailable, Message: "billing is not configured"}

// refuseBilling answers every billing call of a server that sells nothing, once the caller was let in.
func refuseBilling(_ *call, dst []byte) ([]byte, meta, error) { return dst, meta{}, errNoBilling }
