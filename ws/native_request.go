package ws

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"hyperlight/engine/relay"
)

// request is a client message of the venue's protocol, as far as it decides where the message goes.
type request struct {
	Type    string          `json:"type"`
	Channel string          `json:"channel"`
	Auth    json.RawMessage `json:"auth"`
}

// token returns the auth member, "" where there is none.
func (r *request) token() string {
	var s string
	if len(r.Auth) == 0 || json.Unmarshal(r.Auth, &s) == nil {
		return s
	}
	return string(r.Auth)
}

// isTransaction tells whether a message is one of the two that the venue does not count. One that names its type twice,
// in whatever spelling, may be something else to the venue.
func isTransaction(kind string, text []byte) bool {
	if kind != "jsonapi/sendtx" && kind != "jsonapi/sendtxbatch" {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return false
	}
	types := 0
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return false
		}
		if s, ok := name.(string); ok && strings.EqualFold(s, "type") {
			types++
		}
		var skipped json.RawMessage
		if d.Decode(&skipped) != nil {
			return false
		}
	}
	return types == 1
}

// leaks tells whether a message holds a credential of ours, which must not go upstream; token is its auth member.
func (n *nativeSession) leaks(text []byte, token string) bool {
	shown, _ := n.c.shown.Credential()
	text = plainText(text)
	return shown != "" && bytes.Contains(text, []byte(shown)) || bytes.Contains(text, []byte(`"hlt_`)) || relay.HoldsKey(text) ||
		token != "" && relay.HoldsCredential([]byte(token))
}

// plainText returns JSON with its escaped ASCII characters as they are meant, which is no JSON any more.
func plainText(text []byte) []byte {
	if !bytes.Contains(text, []byte(`\u00`)) {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if i+5 < len(text) && string(text[i:i+4]) == `\u00` {
			if v, err := strconv.ParseUint(string(text[i+4:i+6]), 16, 8); err == nil {
				out = append(out, byte(v))
				i += 5
				continue
			}
		}
		out = append(out, text[i])
	}
	return out
}

// window counts the events of a rolling minute. It is used by one goroutine.
type window struct{ times []time.Time }

// take counts an event, or returns false where there were most in the last minute; a refused one is not counted.
func (w *window) take(most int, now time.Time) bool {
	old := 0
	for old < len(w.times) && now.Sub(w.times[old]) >= time.Minute {
		old++
	}
	w.times = append(w.times[:0], w.times[old:]...)
	if len(w.times) >= most {
		return false
	}
	w.times = append(w.times, now)
	return true
}
