package engine_test

import (
	"encoding/json"
	"testing"

	"hyperlight/config"
	"hyperlight/engine"
	"hyperlight/engine/account"
	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

// tapePositions are the positions after a recorded market's trades since a moment, with encoding/json and without the
// tracker's rules: size before and what the trade adds.
func tapePositions(t *testing.T, frames []refFrame, market int, since int64) map[uint64]int64 {
	t.Helper()
	out := map[uint64]int64{}
	decimals := refScales[market][1]
	for _, tr := range refTrades(t, frames, market) {
		if tr.Timestamp < since {
			continue
		}
		size := scaled(t, tr.Size, decimals)
		taker, maker := tr.AskAccount, tr.BidAccount
		takes := -size
		if tr.MakerAsk {
			taker, maker, takes = maker, taker, size
		}
		out[taker] = scaledSigned(t, tr.TakerBefore, decimals) + takes
		out[maker] = scaledSigned(t, tr.MakerBefore, decimals) - takes
	}
	return out
}

func scaledSigned(t *testing.T, n json.Number, decimals int) int64 {
	t.Helper()
	if text := n.String(); len(text) > 0 && text[0] == '-' {
		return -scaled(t, text[1:], decimals)
	}
	return scaled(t, n.String(), decimals)
}

// Whatever of the table of accounts a crash lost, the next start has it again from the recorded trades.
func TestAccountsAfterACrash(t *testing.T) {
	path := feedtest.Recording(t, btcEth)
	frames := readReference(t, path)
	for _, written := range []struct {
		name   string
		trades int // told to the table before its last save
	}{{"nothing was written", 0}, {"a part was written", 200}, {"all was written", 1 << 20}} {
		t.Run(written.name, func(t *testing.T) {
			dir := t.TempDir()
			importFile(t, dir, path)
			saveAccounts(t, dir, written.trades)
			cfg := config.Default()
			e, err := engine.Open(engine.Options{Store: storeOptions(dir), History: cfg.History})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			checked := 0
			var since int64
			if written.trades == 0 {
				since = frames[0].recv/1000 - 1000*60 // of a table that has nothing only the last hour comes back
			}
			for market := range refScales {
				for id, want := range tapePositions(t, frames, market, since) {
					var a model.Account
					if !e.Accounts().Get(model.AccountID(id), &a) {
						t.Fatalf("account %d is not known", id)
					}
					for _, p := range a.Positions {
						if p.Market != model.MarketID(market) {
							continue
						}
						if checked++; int64(p.Size) != want {
							t.Errorf("market %d, account %d holds %d, want %d", market, id, p.Size, want)
						}
					}
				}
			}
			if checked < 300 {
				t.Errorf("only %d positions were compared", checked)
			}
		})
	}
}

// saveAccounts writes the table as it was after so many trades of each market.
func saveAccounts(t *testing.T, dir string, trades int) {
	t.Helper()
	if trades == 0 {
		return
	}
	reader, store, market := readStore(t, dir)
	defer store.Close()
	tr, err := account.New(account.Options{Store: store, Markets: market})
	if err != nil {
		t.Fatal(err)
	}
	for id := range model.MarketID(2) {
		n := 0
		for row, err := range reader.Trades(t.Context(), id, history.Span{To: 1 << 50}, history.TradeQuery{Columns: record.All}) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n <= trades {
				tr.Trade(id, row, false)
			}
		}
	}
	if err := tr.Save(); err != nil {
		t.Fatal(err)
	}
}

// accounts.ready_bodies: 0 keeps nothing, of recent fills neither.
func TestNoRecentFills(t *testing.T) {
	for _, budget := range []config.Size{0, 1 << 20} {
		e, err := engine.Open(engine.Options{Store: storeOptions(t.TempDir()), History: config.Default().History, Accounts: config.Accounts{ReadyBodies: budget}})
		if err != nil {
			t.Fatal(err)
		}
		if kept := e.RecentFills() != nil; kept != (budget > 0) {
			t.Errorf("with %d bytes: fills are kept: %v", budget, kept)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}
