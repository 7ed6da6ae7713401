package history

import "sync/atomic"

// Stored counts what a writer did with the rows it was given.
type Stored struct {
	Updates, KnownUpdates uint64 // book frames added, and left out because their time was held or is no longer kept
	Trades, KnownTrades   uint64 // trades added, and left out because they were stored already or are no longer kept
}

// storedCounts is written by the writer goroutine and read by anybody.
type storedCounts struct {
	updates, knownUpdates, trades, knownTrades atomic.Uint64
}

// Stored returns the counts so far; after a Flush they include everything queued before it.
func (w *Writer) Stored() Stored {
	return Stored{
		Updates: w.stored.updates.Load(), KnownUpdates: w.stored.knownUpdates.Load(),
		Trades: w.stored.trades.Load(), KnownTrades: w.stored.knownTrades.Load(),
	}
}
