package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"hyperlight/engine/model"
)

// decodeControl reads one JSON object into a struct whose members are lower case. A member that is not known, in this
// very spelling, is refused: a command that changes who may do what must not leave out what was meant.
func decodeControl(body []byte, into any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		body = []byte("{}")
	}
	if err := checkJSON(body); err != nil {
		return err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return errBodyJSON
	}
	for name := range members {
		if name != strings.ToLower(name) { // the decoder would take it for the member of that name
			return unknownMember(name)
		}
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field != "" {
		return model.BadRequest(e.Field, fmt.Sprintf("%s must not be a %s", e.Field, e.Value))
	}
	if _, name, ok := strings.Cut(err.Error(), "unknown field "); ok {
		return unknownMember(strings.Trim(name, `"`))
	}
	return errBodyJSON
}

func unknownMember(name string) error {
	return model.BadRequest(name, "this command knows no member of that name")
}
