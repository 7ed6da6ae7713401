package lighter

import (
	"strconv"
	"strings"

	"hyperlight/engine/feed"
)

// Dialect is Lighter's feed.Dialect.
type Dialect struct {
	Resolver Resolver
	Accounts bool // decoders read the channels of accounts too
}

var _ feed.Dialect = Dialect{}

// NewDecoder returns a decoder for one socket.
func (d Dialect) NewDecoder() feed.Decoder {
	dec := NewDecoder(d.Resolver)
	dec.accounts = d.Accounts
	return dec
}

// AppendSubscribe appends a subscribe message.
func (Dialect) AppendSubscribe(dst []byte, c feed.Channel) []byte {
	return append(AppendChannel(append(dst, `{"type":"subscribe","channel":"`...), c, '/'), `"}`...)
}

// AppendUnsubscribe appends an unsubscribe message.
func (Dialect) AppendUnsubscribe(dst []byte, c feed.Channel) []byte {
	return append(AppendChannel(append(dst, `{"type":"unsubscribe","channel":"`...), c, '/'), `"}`...)
}

// AppendPong appends the answer to the venue's JSON ping.
func (Dialect) AppendPong(dst []byte) []byte { return AppendPongFrame(dst) }

// AppendChannel appends a channel's name: sep is a slash in requests, a colon in answers.
func AppendChannel(dst []byte, c feed.Channel, sep byte) []byte {
	dst = append(dst, c.Family.String()...)
	switch {
	case c.Family == feed.FamilyHeight:
		return dst
	case c.Native == feed.All:
		return append(append(dst, sep), "all"...)
	}
	return strconv.AppendInt(append(dst, sep), c.Native, 10)
}

// Codes of error frames.
const (
	CodeInvalidParam         = 20001
	CodeTooManySubscriptions = 23001
	CodeTooManyAccounts      = 23002
	CodeTooManyConnections   = 23003
	CodeInvalidJSON          = 30000
	CodeInvalidType          = 30001
	CodeNotSubscribed        = 30002
	CodeAlreadySubscribed    = 30003
	CodeInvalidChannel       = 30005
	CodeTooManyMessages      = 30009
	CodeTooManyInflight      = 30010
)

// Refusal classifies an error frame. Only 30002 and 30003 name their channel, behind " : ".
func (Dialect) Refusal(f feed.Frame) (r feed.Refusal, c feed.Channel, named bool) {
	switch f.Code {
	case CodeAlreadySubscribed:
		r = feed.RefusalDuplicate
	case CodeNotSubscribed:
		r = feed.RefusalNotHeld
	case CodeTooManyMessages:
		return feed.RefusalTooFast, c, false
	case CodeTooManyInflight:
		return feed.RefusalTooMany, c, false
	case CodeTooManySubscriptions:
		return feed.RefusalFull, c, false
	case CodeTooManyAccounts:
		return feed.RefusalAccounts, c, false
	case CodeTooManyConnections:
		return feed.RefusalConnections, c, false
	case CodeInvalidChannel:
		return feed.RefusalUnavailable, c, false
	default:
		return feed.RefusalOther, c, false
	}
	if _, name, ok := strings.Cut(f.Text, " : "); ok {
		c = parseChannel([]byte(strings.TrimSpace(name)))
	}
	return r, c, c.Family != feed.FamilyOther
}
