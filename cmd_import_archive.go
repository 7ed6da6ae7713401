package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hyperlight/engine"
	"hyperlight/engine/archive"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

const importHelp = `Import reads recordings of Lighter frames, and archives of trades, candles and settled fundings from elsewhere.
What a file is, its content tells; each may be plain, .gz or .zst. A file imported twice changes nothing. Damaged
lines are counted, told with their line and column, and left out. It ends with 1 when a file holds nothing that can
be used, with 5 when one is cut short. No server may run on the store.

Recordings (.ndjson, .jsonl) have one frame per line: bare, or wrapped as {"seq","recv_us","msg"} or
{"captured_at","frame"}. The recording's own clock counts.

Archives are CSV with a header (columns in any order, others are passed over), JSON lines, answers of our own REST
or of Lighter's (recentTrades, candles, fundings), and Parquet files of the data lake: trades, candles, funding_rates
and book_updates, of which books are rebuilt as of a recording. Columns, with other names that are understood:

  all       timestamp (time, ts, t, date): RFC 3339, or unix s, ms or us; UTC
            market_id, or symbol (market, pair) of a known market, or --market
  trades    trade_id (id), price, size (amount, qty), side of the taker or is_maker_ask
            [usd_amount (notional), type, tx_hash, ask_id, bid_id, ask_account_id, bid_account_id, taker_fee,
            maker_fee, block_height, recv_ts, transaction_time, ...]
  candles   open, high, low, close, volume (o, h, l, c, v) [quote_volume (V), trade_count, last_trade_id (i),
            resolution: 1m, 1h or 1d, else --resolution or the file's name, as in eth-1m.csv]
  funding   rate, a signed hourly fraction, or rate_percent [value, direction: the side that pays]

Numbers are taken as they are written, never rounded; more digits than a market has begin a new scale of it.

A gap is closed only by what fills it: a candle or a funding fills its own time, trades fill none unless --complete
or --held says that no other trade was between them; files of the data lake say so themselves.

Retention never deletes imported days: --list shows them, and --unpin lets it have those from FROM to TO,
both included (UTC, YYYY-MM-DD); what is older than it allows goes at once.`

// archiveFlags are the flags of an import that tell what archives do not say themselves.
type archiveFlags struct {
	Dataset    string
	Market     int64
	Resolution string
	Complete   bool
	Held       string
}

func (f *archiveFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.Dataset, "dataset", "", "what archives hold, where their columns do not tell: trades, candles or funding")
	cmd.Flags().Int64Var(&f.Market, "market", -1, "`ID` of the market that all rows of the archives are of")
	cmd.Flags().StringVar(&f.Resolution, "resolution", "", "length of candles whose rows tell none: 1m, 1h or 1d")
	cmd.Flags().BoolVar(&f.Complete, "complete", false, "archives have every row between their first and their last one")
	cmd.Flags().StringVar(&f.Held, "held", "", "archives have every row of a `RANGE`, as 2025-09-18..2025-09-19 or of times")
}

func (f *archiveFlags) given() bool {
	return f.Dataset != "" || f.Market >= 0 || f.Resolution != "" || f.Complete || f.Held != ""
}

// options checks the flags.
func (f *archiveFlags) options() (o engine.ArchiveOptions, err error) {
	if f.Dataset != "" {
		var ok bool
		if o.Dataset, ok = archive.ParseDataset(f.Dataset); !ok {
			return o, usagef("--dataset %s is none; write trades, candles or funding", f.Dataset)
		}
	}
	if f.Resolution != "" {
		var ok bool
		if o.Resolution, ok = archive.ParseResolution(f.Resolution); !ok {
			return o, usagef("--resolution %s is not stored; write 1m, 1h or 1d, of which the others are made", f.Resolution)
		}
	}
	if f.Market >= 0 {
		o.Market = &f.Market
	}
	o.Complete = f.Complete
	if f.Held != "" {
		if o.Held, err = parseHeld(f.Held); err != nil {
			return o, err
		}
	}
	return o, nil
}

// parseHeld reads FROM..TO: two days of UTC of which both belong to the range, or two times.
func parseHeld(text string) (history.Span, error) {
	first, last, ok := strings.Cut(text, "..")
	if !ok {
		return history.Span{}, usagef("--held %s: write two days or times, as 2025-09-18..2025-09-19", text)
	}
	from, err := archive.ParseTime(first)
	if err != nil {
		return history.Span{}, usagef("--held %s: %q is %w", text, first, err)
	}
	to, err := archive.ParseTime(last)
	if err != nil {
		return history.Span{}, usagef("--held %s: %q is %w", text, last, err)
	}
	if _, err := time.Parse(time.DateOnly, last); err == nil {
		to += model.Millis(24 * time.Hour / time.Millisecond)
	}
	if to <= from {
		return history.Span{}, usagef("--held %s: the range ends before it begins", text)
	}
	return history.Span{From: from, To: to}, nil
}
