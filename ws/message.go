package ws

import (
	"encoding/json"
	"errors"
	"reflect"
)

// message is a client message of any type. Members that a type does not know are ignored.
type message struct {
	Type    string `json:"type"`
	Channel string `json:"channel"`

	// auth
	APIKey     string `json:"api_key"`
	Token      string `json:"token"`
	Format     string `json:"format"` // also of replay
	Heartbeats bool   `json:"heartbeats"`

	// subscribe; depth is below
	Since          *since          `json:"since"`
	TickSize       json.RawMessage `json:"tick_size"`       // a number, or one in a string
	WhaleThreshold json.RawMessage `json:"whale_threshold"` // as well

	// replay and its controls; their forms vary and are parsed by the replay session
	MarketID  *int64          `json:"market_id"`
	MarketIDs []int64         `json:"market_ids"`
	Start     json.RawMessage `json:"start"`
	End       json.RawMessage `json:"end"`
	To        json.RawMessage `json:"to"`
	Speed     json.RawMessage `json:"speed"`
	Include   []string        `json:"include"`
	Depth     *int            `json:"depth"` // also of subscribe
}

// since names the last frame of a channel that a client has.
type since struct {
	Epoch string `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

var (
	errNotJSON = errors.New("message must be one JSON object")
	errNoType  = errors.New("type is required")
)

// parseMessage reads a client message. The error's text may be shown to the client.
func parseMessage(text []byte) (*message, error) {
	var m message
	if err := json.Unmarshal(text, &m); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return nil, errors.New(wrong.Field + " must be " + kindWords(wrong.Type))
		}
		return nil, errNotJSON
	}
	// A member that is null is one that was left out.
	for _, raw := range []*json.RawMessage{&m.Start, &m.End, &m.To, &m.Speed, &m.TickSize, &m.WhaleThreshold} {
		if string(*raw) == "null" {
			*raw = nil
		}
	}
	if m.Type == "" {
		return nil, errNoType
	}
	return &m, nil
}

// kindWords says what a member of the message must be.
func kindWords(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	case reflect.Struct:
		return "an object"
	case reflect.Uint64:
		return "an integer that is not negative"
	default:
		return "an integer"
	}
}
