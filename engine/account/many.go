package account

import (
	"hyperlight/engine/model"
)

// together is how many rows are looked up at once.
const together = 256

// Unknown is the Index of a row that GetAll found no account for.
const Unknown = -1

// GetAll copies the rows of many accounts into rows, which is as long as ids; Unknown is the Index of those that are not
// known. The rows' positions lie one after the other behind those of positions, which is returned; each list is full.
//
// Of a large table every row lies in memory that no cache holds. GetAll does the same step for several accounts of a
// shard before the next one, so that the processor waits for their memory at once and not for one after the other.
func (t *Tracker) GetAll(ids []model.AccountID, rows []model.Account, positions []model.Position) []model.Position {
	for len(ids) > together {
		positions = t.getTogether(ids[:together], rows[:together], positions)
		ids, rows = ids[together:], rows[together:]
	}
	return t.getTogether(ids, rows, positions)
}

func (t *Tracker) getTogether(ids []model.AccountID, rows []model.Account, positions []model.Position) []model.Position {
	// The ids' places, by shard.
	var ends [shards]int
	for _, id := range ids {
		ends[shardOf(id)]++
	}
	n := 0
	for i, of := range ends {
		ends[i] = n
		n += of
	}
	var places [together]uint8
	for i, id := range ids {
		end := &ends[shardOf(id)]
		places[*end] = uint8(i)
		*end++
	}
	from := 0
	for i, to := range ends {
		if from < to {
			positions = t.shards[i].copyAll(places[from:to], ids, rows, positions)
		}
		from = to
	}
	return positions
}

// copyAll copies the rows of the accounts at some places of ids.
func (s *shard) copyAll(places []uint8, ids []model.AccountID, rows []model.Account, positions []model.Position) []model.Position {
	var found [together]*model.Account
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, at := range places {
		found[i] = s.accounts[ids[at]]
	}
	for i, at := range places {
		if a := found[i]; a != nil {
			rows[at] = *a
		} else {
			rows[at] = model.Account{ID: ids[at], Index: Unknown}
		}
	}
	for _, at := range places {
		row := &rows[at]
		start := len(positions)
		positions = append(positions, row.Positions...)
		row.Positions = positions[start:len(positions):len(positions)]
	}
	return positions
}
