package market

import "slices"

// recentIDs is how many of the latest trade ids of a market are remembered at least.
const recentIDs = 1024

// recent remembers the greatest ids that were added: the trades that a reconnect or a fetch may bring again.
type recent struct {
	ids []uint64 // ascending, at most twice recentIDs
}

// add adds an id, false where it is there already. Ids come mostly in ascending order.
func (r *recent) add(id uint64) bool {
	i := len(r.ids)
	if i > 0 && id <= r.ids[i-1] {
		var found bool
		if i, found = slices.BinarySearch(r.ids, id); found {
			return false
		}
	}
	if len(r.ids) == 2*recentIDs {
		r.ids = r.ids[:copy(r.ids, r.ids[recentIDs:])]
		i = max(0, i-recentIDs)
	}
	r.ids = slices.Insert(r.ids, i, id)
	return true
}
