package lighter

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

type marketRow struct {
	Symbol                 text `json:"symbol"`
	MarketID               text `json:"market_id"`
	MarketType             text `json:"market_type"`
	Status                 text `json:"status"`
	TakerFee               text `json:"taker_fee"`
	MakerFee               text `json:"maker_fee"`
	LiquidationFee         text `json:"liquidation_fee"`
	MinBaseAmount          text `json:"min_base_amount"`
	MinQuoteAmount         text `json:"min_quote_amount"`
	SizeDecimals           text `json:"size_decimals"`
	PriceDecimals          text `json:"price_decimals"`
	SupportedSizeDecimals  text `json:"supported_size_decimals"`
	SupportedPriceDecimals text `json:"supported_price_decimals"`
	DefaultInitialMargin   text `json:"default_initial_margin_fraction"`
	MinInitialMargin       text `json:"min_initial_margin_fraction"`
	MaintenanceMargin      text `json:"maintenance_margin_fraction"`
	CloseOutMargin         text `json:"closeout_margin_fraction"`
	DailyQuoteVolume       text `json:"daily_quote_token_volume"`
}

// ParseMarkets reads an orderBookDetails or an orderBooks answer. Rows without an id or without decimals are left out;
// an answer without any usable row is an error.
func ParseMarkets(body []byte) ([]model.Market, error) {
	var answer struct {
		Perps  []marketRow `json:"order_book_details"`
		Spots  []marketRow `json:"spot_order_book_details"`
		Simple []marketRow `json:"order_books"`
	}
	if err := decodeJSON(body, &answer); err != nil {
		return nil, err
	}
	var markets []model.Market
	add := func(rows []marketRow, kind string) {
		for _, row := range rows {
			if m, ok := row.market(kind); ok {
				markets = append(markets, m)
			}
		}
	}
	add(answer.Perps, "perp")
	add(answer.Spots, "spot")
	add(answer.Simple, "")
	if len(markets) == 0 {
		return nil, unexpected("market")
	}
	return markets, nil
}

// market turns a row into a market; kind is used where the row names none. The index of ids from 2^23 up is given by
// the registry: until then they are model.NoMarket.
func (r *marketRow) market(kind string) (model.Market, bool) {
	native, ok := signed([]byte(r.MarketID))
	price, ok2 := scale(cmp.Or(r.PriceDecimals, r.SupportedPriceDecimals))
	size, ok3 := scale(cmp.Or(r.SizeDecimals, r.SupportedSizeDecimals))
	if r.MarketID == "" || !ok || !ok2 || !ok3 || native < 0 {
		return model.Market{}, false
	}
	id := model.NoMarket
	if native < 1<<23 {
		id = model.MarketID(native)
	}
	m := model.Market{
		ID: id, Native: native, Symbol: string(r.Symbol), Type: string(cmp.Or(r.MarketType, text(kind))),
		Active: r.Status == "active", PriceScale: price, SizeScale: size, Scales: []model.Scale{{Price: price, Size: size}},
		DefaultInitialMargin: fraction(r.DefaultInitialMargin), MinInitialMargin: fraction(r.MinInitialMargin),
		MaintenanceMargin: fraction(r.MaintenanceMargin), CloseOutMargin: fraction(r.CloseOutMargin),
		TakerFee: string(r.TakerFee), MakerFee: string(r.MakerFee), LiquidationFee: string(r.LiquidationFee),
		MinBaseAmount: string(r.MinBaseAmount), MinQuoteAmount: string(r.MinQuoteAmount),
	}
	if d, err := loose([]byte(r.DailyQuoteVolume)); err == nil {
		var a num.Acc
		a.AddProduct(d.Mant, 1)
		if v, err := a.Round(d.Scale, num.USDScale); err == nil {
			m.DailyQuoteVolume = num.USD(v)
		}
	}
	return m, true
}

func scale(t text) (uint8, bool) {
	v, ok := signed([]byte(t))
	return uint8(v), ok && t != "" && v >= 0 && v <= num.MaxScale
}

func fraction(t text) int32 {
	v, ok := signed([]byte(t))
	if !ok || int64(int32(v)) != v {
		return 0
	}
	return int32(v)
}

// Markets lists all markets, perp and spot. Where the detailed list is refused, the plain one serves, without margins
// and volumes.
func (r *REST) Markets(ctx context.Context) ([]model.Market, error) {
	name := "orderBookDetails"
	body, _, err := r.body(ctx, "/api/v1/"+name, "?filter=all", feed.Refresh, weightRead)
	if ue := (*feed.UpstreamError)(nil); errors.As(err, &ue) && ue.Status != 0 && ue.Status < 500 && ue.Status != 429 {
		name = "orderBooks"
		body, _, err = r.body(ctx, "/api/v1/"+name, "", feed.Refresh, weightRead)
	}
	if err != nil {
		return nil, fmt.Errorf("list markets: %w", err)
	}
	markets, err := ParseMarkets(body)
	if err != nil {
		return nil, fmt.Errorf("list markets: %w", err)
	}
	if r.o.Keep != nil {
		r.o.Keep(name, body)
	}
	return markets, nil
}
