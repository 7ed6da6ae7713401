package lighter

import (
	"context"
	"net"
	"time"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// RESTOptions configure a REST client. BaseURL is required.
type RESTOptions struct {
	BaseURL   string // without a path
	Budget    *feed.Budget
	Now       func() time.Time
	Timeout   time.Duration
	UserAgent string
	Dial      func(addr string) (net.Conn, error)
}

// REST is a client of the venue's REST.
type REST struct{}

// NewREST returns a client.
func NewREST(o RESTOptions) *REST { return &REST{} }

// Close closes idle connections.
func (r *REST) Close() {}

// Markets lists all markets, perp and spot.
func (r *REST) Markets(ctx context.Context) ([]model.Market, error) { return nil, nil }

// RecentTrades returns the last trades of a market.
func (r *REST) RecentTrades(ctx context.Context, m *model.Market, limit int) (model.TradeBatch, error) {
	return model.TradeBatch{}, nil
}

// Fundings returns the settled hourly fundings of a market in [from, to], oldest first.
func (r *REST) Fundings(ctx context.Context, m *model.Market, from, to model.Millis) ([]model.Funding, error) {
	return nil, nil
}

// FundingRate is a venue's current rate of a market.
type FundingRate struct {
	Native   int64
	Exchange string
	Symbol   string
	Rate     num.Rate // hourly fraction
}

// FundingRates returns the current rates.
func (r *REST) FundingRates(ctx context.Context) ([]FundingRate, error) { return nil, nil }

// OrderBook returns the best levels.
func (r *REST) OrderBook(ctx context.Context, m *model.Market) (bids, asks []model.Level, err error) {
	return nil, nil, nil
}

// Probe is what the venue says of itself.
type Probe struct {
	NetworkID int64
	Timestamp model.Millis
	Latency   time.Duration
}

// Probe asks the venue whether it is there.
func (r *REST) Probe(ctx context.Context) (Probe, error) { return Probe{}, nil }
