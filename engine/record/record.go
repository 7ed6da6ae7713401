// Package record owns the bytes of every stored value: a version first, in market families the scale epoch second, then
// varints. It only turns values into bytes and back. It does no I/O, reads no clock, and knows neither keys nor the
// store.
//
// Fields are only ever added at the end under a new version; a decoder knows all old versions and refuses unknown ones
// with ErrVersion. Every decoder takes any bytes without panicking, and no count inside makes it allocate more than the
// bytes, or the limits of a segment, can hold.
package record

import "errors"

var (
	// ErrVersion reports a value of a version that this build does not know.
	ErrVersion = errors.New("unknown record version")
	// ErrCorrupt reports bytes that no encoder of this package wrote.
	ErrCorrupt = errors.New("corrupt record")
)

// Header is what a block or segment says about itself without being decoded. First and Last are milliseconds of the
// venue's clock for trades, microseconds of the receive clock for books; the smallest and the greatest one inside.
type Header struct {
	Epoch       uint8
	Trades      uint32
	Updates     uint32
	Levels      uint32 // changed levels of all updates
	First, Last int64
}
