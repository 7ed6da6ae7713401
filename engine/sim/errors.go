package sim

import (
	"strconv"

	"hyperlight/engine/model"
)

// venueError is a refusal of the venue: a code of its list and the text that it sends, trailing blanks included.
type venueError struct {
	status  int // HTTP status of REST answers
	code    int
	message string
}

func refuse(code int, message string) *venueError {
	return &venueError{status: 400, code: code, message: message}
}

// The refusals that need no parameters. Codes and texts are the venue's.
var (
	errInvalidParam      = refuse(20001, "invalid param ")
	errNoAuth            = refuse(20001, "invalid param : auth query param and Authorization header are empty")
	errInvalidDeadline   = &venueError{status: 401, code: 20013, message: "invalid auth: invalid deadline"}
	errNotFound          = refuse(29404, "not found")
	errTooManyRequests   = &venueError{status: 429, code: 23000, message: "Too Many Requests!"}
	errInvalidTimestamps = refuse(22400, "invalid timestamps: end_timestamp must be greater than start_timestamp")
	errInvalidTimestamp  = refuse(22401, "invalid timestamp: timestamp must be greater than 0 and less than year 2286")
	errInvalidResolution = refuse(22402, "invalid resolution: resolution unsupported")
	errInvalidTxInfo     = refuse(21501, "invalid tx info")

	errInvalidJSON     = refuse(30000, "Invalid Json")
	errInvalidType     = refuse(30001, "Invalid Type")
	errInvalidChannel  = refuse(30005, "Invalid Channel")
	errUnknownMarket   = refuse(30005, "Invalid Channel:  (marketId)")
	errUnknownAccount  = refuse(30005, "Invalid Channel:  (accountIndex)")
	errTooManyMessages = refuse(30009, "Too Many Websocket Messages!")
	errTooManyInflight = refuse(30010, "Too Many Inflight Messages!")
	errTooManySubs     = refuse(23001, "Too Many Subscriptions!")
	errTooManyAccounts = refuse(23002, "Too Many Different Accounts!")
	errTooManyConns    = refuse(23003, "Too Many Connections!")
)

// appendBody writes the error as REST sends it: {"code":..,"message":".."}.
func (e *venueError) appendBody(dst []byte) []byte {
	dst = append(dst, `{"code":`...)
	dst = strconv.AppendInt(dst, int64(e.code), 10)
	dst = append(dst, `,"message":`...)
	dst = model.AppendString(dst, e.message)
	return append(dst, '}')
}

// appendFrame writes the error as the stream sends it: {"error":{"code":..,"message":".."}}.
func (e *venueError) appendFrame(dst []byte) []byte {
	dst = append(dst, `{"error":`...)
	dst = e.appendBody(dst)
	return append(dst, '}')
}
