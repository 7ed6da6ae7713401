package history

import (
	"bytes"
	"slices"
	"testing"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// A row that does not decode is told by its key, whichever it is, and keeps nothing else from being told: the row of a
// market's candle mark too, without which nothing can be recorded any more, and those that an open interval ends at.
func TestCheckTellsEachRowCutShort(t *testing.T) {
	g := newRig(t, kvtest.Open(t), testSeed(t), 2)
	for _, n := range g.markets {
		if err := SaveMarkets(g.store, []*model.Market{n.m}); err != nil {
			t.Fatal(err)
		}
	}
	g.start()
	for range 300 {
		g.step()
	}
	g.flush()
	g.stop()
	var rows []kv.KV
	for _, f := range []key.Family{key.Meta, key.Markets, key.Coverage, key.Index, key.Gaps, key.Keyframes, key.Books, key.Trades, key.Candles, key.Liquidations, key.Fills} {
		var all []kv.KV
		for row, err := range g.store.Scan(t.Context(), key.All(f)) {
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(row.Key, key.MetaRow(nil, "format")) {
				all = append(all, kv.KV{Key: bytes.Clone(row.Key), Value: bytes.Clone(row.Value)})
			}
		}
		g.rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		rows = append(rows, all[:min(len(all), rounds(4, 1000))]...)
	}
	set := func(k, v []byte) {
		b := g.store.NewBatch()
		b.Set(k, v)
		if err := g.store.Commit(b, kv.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range rows {
		set(row.Key, row.Value[:len(row.Value)/2])
		findings, err := Check(t.Context(), g.store, true)
		if err != nil || !slices.ContainsFunc(findings, func(f Finding) bool { return bytes.Equal(f.Key, row.Key) }) {
			t.Errorf("%q cut short: %d findings without it, %v", row.Key, len(findings), err)
		}
		set(row.Key, row.Value)
	}
	g.check()
}

// With deep a check tells a candle that no trade gives, and a liquidation that is not the trade which it is a copy of.
func TestCheckTellsWrongCopies(t *testing.T) {
	g := newRig(t, kvtest.Open(t), testSeed(t), 1)
	g.start()
	for range 60 {
		g.deliverTrades(g.markets[0])
		g.advance(second)
	}
	g.flush()
	g.stop()
	g.check()
	var candle, liquidation kv.KV
	last := func(f key.Family, into *kv.KV, res key.Resolution) {
		for row, err := range g.store.Scan(t.Context(), key.All(f)) {
			if err != nil {
				t.Fatal(err)
			}
			if f == key.Liquidations || row.Key[1] == byte(res) {
				*into = kv.KV{Key: bytes.Clone(row.Key), Value: bytes.Clone(row.Value)}
			}
		}
	}
	last(key.Candles, &candle, key.Minute)
	last(key.Liquidations, &liquidation, 0)
	at, err := key.ParseCandle(candle.Key)
	if err != nil {
		t.Fatal(err)
	}
	trades, err := record.DecodeTrades(nil, liquidation.Value, record.All)
	if err != nil {
		t.Fatal(err)
	}
	trades[0].Price++
	for _, harm := range []kv.KV{
		{Key: key.Candle(nil, key.Minute, at.Market, at.Time+key.Minute.Millis()), Value: candle.Value},
		{Key: liquidation.Key, Value: record.AppendTradeBlock(nil, trades[0].Epoch, trades)},
	} {
		b := g.store.NewBatch()
		b.Set(harm.Key, harm.Value)
		if err := g.store.Commit(b, kv.NoSync); err != nil {
			t.Fatal(err)
		}
		findings, err := Check(t.Context(), g.store, true)
		if err != nil || len(findings) != 1 || findings[0].Key[0] != harm.Key[0] {
			t.Errorf("%x: %+v, %v", harm.Key, findings, err)
		}
		b.Reset()
		b.Delete(harm.Key)
		if harm.Key[0] == byte(key.Liquidations) {
			b.Set(liquidation.Key, liquidation.Value)
		}
		if err := g.store.Commit(b, kv.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	g.check()
}
