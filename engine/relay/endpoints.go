package relay

import (
	"strings"
	"time"
)

const (
	apiPrefix = "/api/v1/"
	// unitWeight is the documented weight that takes one unit of the budget: 24,000 a minute over 60 calls.
	unitWeight = 400
	// usualWeight is that of most calls, and of those that the table does not know.
	usualWeight = 300
	usualTTL    = time.Second
	// maxSegments is how deep the venue's paths go below /api/v1/.
	maxSegments = 3
)

// endpoint is one native operation, or all those that the table does not know ("other").
type endpoint struct {
	name   string // below /api/v1/, or the whole path of the two that stand outside; metrics show it
	weight int
	ttl    time.Duration // 0: never kept or shared
	// account tells that the venue counts calls in a window of the account's own, whoever sends them.
	account bool
	listed  bool // below /api/v1/ and known by name
}

// units returns what a call takes from the budget. The contract's w/400 is rounded up: 600 is two.
func (e *endpoint) units() int { return max(1, (e.weight+unitWeight-1)/unitWeight) }

// reads are the GET operations known by October 2026, by weight.
var reads = map[int]string{
	6:   `nextNonce`,
	50:  `txFromL1TxHash`,
	100: `accountInactiveOrders deposit/latest`,
	150: `apikeys`,
	300: `/ /info account accountActiveOrders accountLimits accountMetadata accountOrders accountTxs accountsByL1Address
		airdrop announcement assetDetails atomic-orders/get atomic-orders/list block blockTxs blocks bridges
		bridges/isNextBridgeFast candles currentHeight deposit/history deposit/networks equity_history/pnl exchangeMetrics
		exchangeStats executeStats export fastbridge/info fastwithdraw/info faucet funding-rates fundings gecko/contracts
		gecko/orderbook gecko/tickers geoLocation getMakerOnlyApiKeys isWhitelisted l1Metadata layer1BasicInfo leaderboard
		leaseOptions leases liquidations markPriceCandles marketMetrics marketPriceCharts orderBookDetails orderBookOrders
		orderBooks partnerStats pnl positionFunding publicPoolsMetadata pushnotif/settings rfq/get rfq/list rollingInfo
		stockFinancials syntheticSpotInfo systemConfig tokenlist transfer/history tx txs upcomingEarnings withdraw/history
		withdrawalDelay`,
	500:  `transferFeeInfo`,
	600:  `recentTrades trades`,
	3000: `referral/get referral/points referral/userReferrals tokens`,
}

// writes are the POST operations, by weight.
var writes = map[int]string{
	6: `sendTx sendTxBatch`,
	300: `airdrop/create atomic-orders/create atomic-orders/delete atomic-orders/update litLease pushnotif/register
		pushnotif/settings pushnotif/unregister rfq/create rfq/respond rfq/update setMakerOnlyApiKeys`,
	3000: `changeAccountTier createIntentAddress fastwithdraw notification/ack referral/create referral/kickback/update
		referral/update referral/use setAccountMetadata tokens/revoke`,
	23000: `tokens/create`,
}

// lifetimes are the reads that are kept for another time than usualTTL (contract 7.3). What depends on the moment, a
// nonce or whether a transaction has arrived, is not kept at all. geoLocation tells of the caller's address, which is
// ours: it is forwarded, and never kept either.
var lifetimes = map[time.Duration]string{
	0:                      `nextNonce tx txFromL1TxHash geoLocation`,
	500 * time.Millisecond: `orderBookOrders recentTrades`,
	5 * time.Second:        `funding-rates exchangeStats accountsByL1Address`,
	30 * time.Second:       `orderBooks fundings`,
	time.Minute:            `exchangeMetrics executeStats assetDetails announcement publicPoolsMetadata`,
	5 * time.Minute:        `systemConfig tokenlist layer1BasicInfo /info withdrawalDelay`,
}

// byAccount are the operations that the venue counts per account (sent transactions have a window of their own).
const byAccount = `sendTx sendTxBatch`

var (
	readTable  = endpointTable(reads, usualTTL)
	writeTable = endpointTable(writes, 0)
	otherRead  = &endpoint{name: "other", weight: usualWeight, ttl: usualTTL}
	otherWrite = &endpoint{name: "other", weight: usualWeight}
)

func endpointTable(byWeight map[int]string, ttl time.Duration) map[string]*endpoint {
	table := map[string]*endpoint{}
	for weight, names := range byWeight {
		for _, name := range strings.Fields(names) {
			table[name] = &endpoint{name: name, weight: weight, ttl: ttl, listed: name[0] != '/'}
		}
	}
	if ttl == 0 {
		for _, name := range strings.Fields(byAccount) {
			table[name].account = true
		}
		return table
	}
	for ttl, names := range lifetimes {
		for _, name := range strings.Fields(names) {
			table[name].ttl = ttl
		}
	}
	return table
}

// endpointOf returns the operation of a checked path. Where the spelling is not the table's own (another case, an escape,
// a slash at the end) the answer is forwarded but never kept: nobody can keep a nonce by spelling it differently.
func endpointOf(read bool, path []byte) *endpoint {
	table, other := writeTable, otherWrite
	if read {
		table, other = readTable, otherRead
	}
	name := path
	if len(path) > len(apiPrefix) && string(path[:len(apiPrefix)]) == apiPrefix {
		name = path[len(apiPrefix):]
	}
	if e := table[string(name)]; e != nil {
		return e
	}
	if !plainName(name) || foldedNames[strings.ToLower(string(name))] {
		return otherWrite
	}
	return other
}

// foldedNames are all names in lower case.
var foldedNames = func() map[string]bool {
	m := map[string]bool{}
	for _, table := range []map[string]*endpoint{readTable, writeTable} {
		for name := range table {
			m[strings.ToLower(name)] = true
		}
	}
	return m
}()

// plainName tells whether a name is made of letters, digits, '-', '_' and single slashes, none at an end.
func plainName(name []byte) bool {
	for i, c := range name {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		case c == '/' && i > 0 && i < len(name)-1 && name[i-1] != '/':
		default:
			return false
		}
	}
	return len(name) > 0
}
