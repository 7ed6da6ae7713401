package account

import (
	"strings"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// roles are the first words of a trade's members about its taker and its maker.
const (
	roleTaker = "taker"
	roleMaker = "maker"
)

func roleOf(takes bool) string {
	if takes {
		return roleTaker
	}
	return roleMaker
}

// The members of a trade that tell the margin of an isolated position, in millionths of a dollar. They are left out
// where they are zero, and for cross positions: rows without them tell nothing, older ones never had them.
const (
	marginBefore = "_allocated_margin_usdc_before"
	marginAfter  = "_allocated_margin_usdc_after"
)

// margin sets the margin that an isolated position has after the fill, where the trade tells it. opened says that there was
// no position before: one that is opened without a margin is a cross one, whatever its market was when it was flat last.
func (f *fill) margin(p *model.Position, opened bool) {
	extra := f.trade.Extra
	if f.role == "" {
		return
	}
	after, told := int64(0), false
	if strings.Contains(extra, "_allocated_margin_") {
		after, told = whole(extra, f.role, marginAfter)
		if !told && p.Size == 0 {
			_, told = whole(extra, f.role, marginBefore)
		}
	}
	switch {
	case told:
		p.Isolated, p.Allocated = true, num.USD(after)
	case opened:
		p.Isolated, p.Allocated = false, 0
	}
}

// whole returns a member of a trade's extra text that is a whole number; false where there is none.
func whole(extra, role, name string) (int64, bool) {
	at := strings.Index(extra, `"`+role+name+`":`)
	if at < 0 {
		return 0, false
	}
	text := extra[at+len(role)+len(name)+3:]
	if end := strings.IndexByte(text, ','); end >= 0 {
		text = text[:end]
	}
	v, err := num.Parse([]byte(strings.Trim(text, `" `)), 0)
	return v, err == nil
}
