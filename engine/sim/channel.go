package sim

import (
	"strconv"
	"strings"
)

// channel is a parsed channel name. key is the form that comes back, with colons: "order_book:0", "candle:0:1m".
type channel struct {
	family     string
	key        string
	market     int64 // -1 for "all" and for families without a market
	account    int64 // -1 where the family has none
	resolution string
	private    bool // needs a token
}

// family kinds: what follows the name.
const (
	argNone = iota
	argMarket
	argMarketOrAll
	argCandle
	argAccount
	argMarketAccount
)

// family describes a channel family of the venue.
type family struct {
	args    int
	private bool
}

var families = map[string]family{
	"height":                        {args: argNone},
	"order_book":                    {args: argMarket},
	"ticker":                        {args: argMarket},
	"trade":                         {args: argMarket},
	"market_stats":                  {args: argMarketOrAll},
	"spot_market_stats":             {args: argMarketOrAll},
	"candle":                        {args: argCandle},
	"mark_price_candle":             {args: argCandle},
	"account_all":                   {args: argAccount},
	"user_stats":                    {args: argAccount},
	"account_all_positions":         {args: argAccount},
	"account_all_trades":            {args: argAccount},
	"account_all_assets":            {args: argAccount},
	"account_spot_avg_entry_prices": {args: argAccount},
	"pool_data":                     {args: argAccount},
	"pool_info":                     {args: argAccount},
	"notification":                  {args: argAccount, private: true},
	"account_market":                {args: argMarketAccount, private: true},
	"account_orders":                {args: argMarketAccount, private: true},
	"account_all_orders":            {args: argAccount, private: true},
	"account_tx":                    {args: argAccount, private: true},
	"rfq":                           {args: argNone, private: true},
}

// parseChannel reads the subscribe form "order_book/0". Whether the market or account exists is the source's to say.
func parseChannel(name string) (channel, *venueError) {
	parts := strings.Split(name, "/")
	f, ok := families[parts[0]]
	if !ok {
		return channel{}, errInvalidChannel
	}
	ch := channel{family: parts[0], market: -1, account: -1, private: f.private, key: strings.Join(parts, ":")}
	want := map[int]int{argNone: 1, argMarket: 2, argMarketOrAll: 2, argCandle: 3, argAccount: 2, argMarketAccount: 3}[f.args]
	if len(parts) != want {
		return channel{}, errInvalidChannel
	}
	var err error
	switch f.args {
	case argMarket, argCandle, argMarketAccount:
		if ch.market, err = strconv.ParseInt(parts[1], 10, 64); err != nil {
			return channel{}, errUnknownMarket
		}
	case argMarketOrAll:
		if parts[1] == "all" {
			break
		}
		if ch.market, err = strconv.ParseInt(parts[1], 10, 64); err != nil {
			return channel{}, errUnknownMarket
		}
	case argAccount:
		if ch.account, err = strconv.ParseInt(parts[1], 10, 64); err != nil {
			return channel{}, errUnknownAccount
		}
	}
	switch f.args {
	case argCandle:
		if _, ok := resolutions[parts[2]]; !ok || parts[2] == "1w" {
			return channel{}, errInvalidChannel
		}
		ch.resolution = parts[2]
	case argMarketAccount:
		if ch.account, err = strconv.ParseInt(parts[2], 10, 64); err != nil {
			return channel{}, errUnknownAccount
		}
	}
	return ch, nil
}
