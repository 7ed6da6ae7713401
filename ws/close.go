package ws

import "hyperlight/engine/model"

// closeCode is a close code of the contract, section 3.8.
type closeCode uint16

// The close codes and the words sent with them.
const (
	closeNormal   closeCode = 1000
	closeGoing    closeCode = 1001
	closeProtocol closeCode = 1002
	closeBinary   closeCode = 1003
	closeLost     closeCode = 1006 // counted, never sent: the peer went without a word
	closeNotUTF8  closeCode = 1007
	closeTooBig   closeCode = 1009
	closePolicy   closeCode = 1008 // a handshake that asks for what there is not
	closeInternal closeCode = 1011
	closeAuth     closeCode = 4001
	closeNoAuth   closeCode = 4002
	closeRefused  closeCode = 4003
	closeRate     closeCode = 4008
	closeLimit    closeCode = 4009
	closeNoPong   closeCode = 4010
	closeSlow     closeCode = 4011
	closeRevoked  closeCode = 4012
)

var closeReasons = map[closeCode]string{
	closeNormal:   "",
	closeGoing:    "server is shutting down",
	closeProtocol: "protocol error",
	closeBinary:   "only text frames are taken",
	closeLost:     "",
	closeNotUTF8:  "text must be UTF-8",
	closeTooBig:   "message too big",
	closePolicy:   "refused",
	closeInternal: "internal error",
	closeAuth:     "missing or invalid credential",
	closeNoAuth:   "no auth message in time",
	closeRefused:  "credential refused",
	closeRate:     "too many messages",
	closeLimit:    "connection limit reached",
	closeNoPong:   "no pong in time",
	closeSlow:     "client too slow: send queue full",
	closeRevoked:  "key revoked or account closed",
}

// Codes of error messages that the REST side does not have; the others are those of package model.
const (
	codeAuthTimeout       = "auth_timeout"
	codeInvalidChannel    = "invalid_channel"
	codeNotSubscribed     = "not_subscribed"
	codeSubscriptionLimit = "subscription_limit"
	codeConnectionLimit   = "connection_limit"
	codeReplayActive      = "replay_active"
	codeNoActiveReplay    = "no_active_replay"
	codeReplayWindow      = "replay_window_exceeded"
	codeReplayLimit       = "replay_limit"
	codeNoData            = "no_data"

	codeUnauthorized = string(model.CodeUnauthorized)
	codeForbidden    = string(model.CodeForbidden)
	codeBadRequest   = string(model.CodeBadRequest)
	codeRateLimit    = string(model.CodeRateLimit)
	codeQuota        = string(model.CodeQuota)
	codeInternal     = string(model.CodeInternal)
)
