package model

// Code is an error code of the API contract.
type Code string

// The codes of the contract, section 1.4. Package http maps each to a status, package ws to a frame or a close code.
const (
	CodeUnauthorized       Code = "unauthorized"
	CodeForbidden          Code = "forbidden"
	CodeBadRequest         Code = "bad_request"
	CodeNotFound           Code = "not_found"
	CodeRateLimit          Code = "rate_limit_exceeded"
	CodeBatchTooLarge      Code = "batch_too_large"
	CodeInternal           Code = "internal_error"
	CodeUpstream           Code = "upstream_error"
	CodeQuota              Code = "quota_exceeded"
	CodeConflict           Code = "conflict"
	CodeMethodNotAllowed   Code = "method_not_allowed"
	CodePayloadTooLarge    Code = "payload_too_large"
	CodeServiceUnavailable Code = "service_unavailable"
)

// Error is an error that may be shown to a client. Message is lower case and says what to do; Details and Message
// never hold file names, addresses or texts of other programs, which belong into Err.
type Error struct {
	Code    Code
	Message string
	Details map[string]any
	Err     error
}

// Error returns the message, and the cause for logs.
func (e *Error) Error() string {
	if e.Err != nil {
		return string(e.Code) + ": " + e.Message + ": " + e.Err.Error()
	}
	return string(e.Code) + ": " + e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// BadRequest returns a bad_request error that names the field.
func BadRequest(field, message string) *Error {
	return &Error{Code: CodeBadRequest, Message: message, Details: map[string]any{"field": field}}
}

// NotFound returns a not_found error.
func NotFound(message string) *Error { return &Error{Code: CodeNotFound, Message: message} }
