package delivery

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// The headers of a call, section 4.4 of the contract and Standard Webhooks.
const (
	headerEvent     = "X-Hyperlight-Event"
	headerDelivery  = "X-Hyperlight-Delivery"
	headerAttempt   = "X-Hyperlight-Attempt"
	headerTimestamp = "X-Hyperlight-Timestamp"
	headerSignature = "X-Hyperlight-Signature"
	// headerPrevious is the signature with the secret that was replaced lately.
	headerPrevious    = "X-Hyperlight-Signature-Previous"
	standardID        = "webhook-id"
	standardTimestamp = "webhook-timestamp"
	standardSignature = "webhook-signature"
)

// secretPrefix marks a secret in the form of Standard Webhooks: base64 of 24 to 64 bytes follows.
const secretPrefix = "whsec_"

// ErrSecret reports a text that starts as a Standard Webhooks secret and is none.
var ErrSecret = errors.New("secret is no whsec_ followed by 24 to 64 bytes in base64")

// SecretBytes returns what a secret signs with: of a text that starts with whsec_ the bytes that it encodes, of any other
// its own.
func SecretBytes(text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	if !ok {
		return []byte(text), nil
	}
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(b) < 24 || len(b) > 64 {
		return nil, ErrSecret
	}
	return b, nil
}

// Signature returns the value of X-Hyperlight-Signature: the HMAC of the time of the attempt in Unix ms, a full stop, and
// the body.
func Signature(secret []byte, at int64, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(append(strconv.AppendInt(nil, at, 10), '.'))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// standard returns the signature of Standard Webhooks: id, Unix seconds and body with full stops between.
func standard(secret []byte, id string, seconds int64, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(append(strconv.AppendInt([]byte(id+"."), seconds, 10), '.'))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// sign sets the headers of an attempt.
func sign(h http.Header, secrets Secrets, id uuid.UUID, attempt int, at time.Time, body []byte) {
	name, ms, seconds := id.String(), at.UnixMilli(), at.Unix()
	h.Set(headerEvent, "signal.triggered")
	h.Set(headerDelivery, name)
	h.Set(headerAttempt, strconv.Itoa(attempt))
	h.Set(headerTimestamp, strconv.FormatInt(ms, 10))
	h.Set(standardID, name)
	h.Set(standardTimestamp, strconv.FormatInt(seconds, 10))
	all := make([]string, len(secrets))
	for i, s := range secrets {
		all[i] = standard(s, name, seconds, body)
		switch i {
		case 0:
			h.Set(headerSignature, Signature(s, ms, body))
		case 1:
			h.Set(headerPrevious, Signature(s, ms, body))
		}
	}
	h.Set(standardSignature, strings.Join(all, " "))
}
