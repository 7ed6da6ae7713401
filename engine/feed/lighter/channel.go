package lighter

import "hyperlight/engine/feed"

// parseChannel reads "order_book:0", the form of answers, or "order_book/0", the form of requests. A family that the
// engine does not use, or a market that is no number, gives the zero channel.
func parseChannel(b []byte) feed.Channel {
	sep := 0
	for sep < len(b) && b[sep] != ':' && b[sep] != '/' {
		sep++
	}
	f := family(b[:sep])
	if f == feed.FamilyOther {
		return feed.Channel{}
	}
	if sep == len(b) || string(b[sep+1:]) == "all" {
		return feed.Channel{Family: f, Native: feed.All}
	}
	id, ok := signed(b[sep+1:])
	if n := digits(b, sep+1); n == 0 || sep+1+n != len(b) || !ok {
		return feed.Channel{}
	}
	return feed.Channel{Family: f, Native: id}
}

func family(b []byte) feed.Family {
	switch string(b) {
	case "order_book":
		return feed.FamilyBook
	case "trade":
		return feed.FamilyTrade
	case "market_stats":
		return feed.FamilyStats
	case "spot_market_stats":
		return feed.FamilySpotStats
	case "height":
		return feed.FamilyHeight
	case "ticker":
		return feed.FamilyTicker
	case "account_all":
		return feed.FamilyAccount
	case "account_all_positions":
		return feed.FamilyAccountPositions
	}
	return feed.FamilyOther
}

// ofAccount tells whether a channel is that of an account.
func ofAccount(f feed.Family) bool {
	return f == feed.FamilyAccount || f == feed.FamilyAccountPositions
}

// frameType is what the member "type" says.
type frameType uint8

const (
	typeNone frameType = iota // absent or unknown
	typeFirst
	typeUpdate
	typeConnected
	typePing
	typePong
	typeUnsubscribed
	typeError
)

// parseType reads "update/order_book" and its like; the family is that of data frames only.
func parseType(b []byte) (frameType, feed.Family) {
	for i, c := range b {
		if c != '/' {
			continue
		}
		switch string(b[:i]) {
		case "update":
			return typeUpdate, family(b[i+1:])
		case "subscribed":
			return typeFirst, family(b[i+1:])
		}
		return typeNone, feed.FamilyOther
	}
	switch string(b) {
	case "connected":
		return typeConnected, feed.FamilyOther
	case "ping":
		return typePing, feed.FamilyOther
	case "pong":
		return typePong, feed.FamilyOther
	case "unsubscribed":
		return typeUnsubscribed, feed.FamilyOther
	case "error":
		return typeError, feed.FamilyOther
	}
	return typeNone, feed.FamilyOther
}
