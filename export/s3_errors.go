package export

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/minio/minio-go/v7"
)

// ErrStale reports a file that is not the listed version any more: it was made again meanwhile.
var ErrStale = errors.New("file is not the listed version any more")

var (
	errS3Bucket  = &s3Fault{text: "the bucket does not exist"}
	errS3Refused = &s3Fault{text: "the store refused the credentials"}
	errS3Clock   = &s3Fault{text: "the clocks of this machine and of the store differ too much"}
	errS3Silent  = &s3Fault{text: "the store cannot be reached", again: true}
	errS3Slow    = &s3Fault{text: "the store took too long", again: true}
)

// s3Fault is what an object store did wrong, in our words.
type s3Fault struct {
	text  string
	again bool // it may work another time
}

// Error implements error.
func (f *s3Fault) Error() string { return f.text }

// storeError says what went wrong in our own words. What a store answers may repeat what it was sent, and what net/http says
// names addresses with signatures: neither may reach a log.
func storeError(err error) error {
	if e, ok := errors.AsType[minio.ErrorResponse](err); ok {
		return answeredError(&e)
	}
	if f, ok := errors.AsType[*s3Fault](err); ok {
		return f
	}
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errS3Slow
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		if u.Timeout() {
			return errS3Slow
		}
		err = u.Err
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return &s3Fault{text: "the store's name cannot be resolved", again: true}
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return errS3Silent
	}
	return &s3Fault{text: "the call broke off", again: true}
}

// answeredError is storeError of what the store answered.
func answeredError(e *minio.ErrorResponse) error {
	switch e.Code {
	case minio.NoSuchBucket:
		return errS3Bucket
	case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSecurity", "AllAccessDisabled", "AccountProblem":
		return errS3Refused
	case "RequestTimeTooSkewed":
		return errS3Clock
	}
	switch e.StatusCode {
	case http.StatusForbidden, http.StatusUnauthorized:
		return errS3Refused
	}
	text := "the store answered " + strconv.Itoa(e.StatusCode)
	if isWord(e.Code) {
		text += " " + e.Code
	}
	transient := e.StatusCode >= 500 || e.StatusCode == http.StatusTooManyRequests || e.StatusCode == http.StatusRequestTimeout ||
		e.Code == "RequestTimeout" || e.Code == "SlowDown"
	return &s3Fault{text: text, again: transient}
}

// isWord tells whether a store's error code is one: letters, and not so many that they could be something else.
func isWord(code string) bool {
	for _, ch := range code {
		if (ch < 'a' || ch > 'z') && (ch < 'A' || ch > 'Z') {
			return false
		}
	}
	return len(code) > 0 && len(code) < 40
}

// retry calls fn until it succeeds, fails for good or has failed too often, each time with a timeout.
func (s *S3) retry(ctx context.Context, verb string, timeout time.Duration, fn func(context.Context) error) error {
	wait := s.first
	for attempt := 1; ; attempt++ {
		once, cancel := context.WithTimeout(ctx, timeout)
		err := fn(once)
		cancel()
		if err == nil {
			return nil
		}
		err = storeError(err)
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", verb, ctx.Err())
		}
		f, ok := errors.AsType[*s3Fault](err)
		if !ok || !f.again || attempt == s3Attempts {
			return fmt.Errorf("%s: %w", verb, err)
		}
		s.log.Warn("object store failed, trying again", "component", "lake", "attempt", attempt, "error", err)
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", verb, ctx.Err())
		case <-time.After(wait):
		}
		wait *= 2
	}
}
