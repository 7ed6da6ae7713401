package history

import (
	"weak"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
)

// levelsText is the levels of a view as text. It does not keep the view: the seconds that it is one of may go before.
type levelsText struct {
	view weak.Pointer[book.View]
	form any
	text []byte
}

// AppendLevels appends all levels of a snapshot as write does, from what is ready where that was made of the same view in the
// same form. The text must depend on nothing else.
func (r *Reader) AppendLevels(dst []byte, m model.MarketID, s Snapshot, form any, write func(dst []byte) []byte) []byte {
	if !s.ready {
		return write(dst) // nobody will see this very view again
	}
	k := readyKey{kind: readyLevels, market: uint32(m), at: int64(s.At)}
	view := weak.Make(s.View)
	if known, _ := r.ready.get(k).(*levelsText); known != nil && known.view == view && known.form == form {
		return append(dst, known.text...)
	}
	from := len(dst)
	dst = write(dst)
	if size := int64(len(dst) - from); r.ready.admits(k, size) {
		r.ready.put(k, &levelsText{view: view, form: form, text: append([]byte(nil), dst[from:]...)}, size)
	}
	return dst
}
