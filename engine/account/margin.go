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

// margin sets the margin that an isolated position has after the fill, where the trade tells it.
func (f *fill) margin(p *model.Position) {
	extra := f.trade.Extra
	if f.role == "" || !strings.Contains(extra, "_allocated_margin_") {
		return
	}
	after, told := whole(extra, f.role, marginAfter)
	if !told {
		if _, told = whole(extra, f.role, marginBefore); !told || p.Size != 0 {
			return // of the other side, or a number that should be there is not
		}
	}
	p.Isolated, p.Allocated = true, num.USD(after)
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
