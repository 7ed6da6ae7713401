package main

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

var peerEvents = words{trade: `{"type":"trade"`, book: `{"type":"book_snapshot"`}

// replayPeer asks the peer for a replay, which takes whole minutes, over a new socket; how is what peer.mjs knows besides.
func replayPeer(addr, how string, q *request) (a answer, err error) {
	r, path, w := q.record, "/ws-replay-normalized", &peerEvents
	options := fmt.Sprintf(`{"exchange":"binance-futures","from":%q,"to":%q,`, q.from.Format(time.RFC3339), q.to.Format(time.RFC3339))
	if q.kind == native {
		path, w = "/ws-replay", &words{trade: `{"stream":"` + r.symbol + `@trade"`, book: `{"stream":"` + r.symbol + `@depth`}
		options += fmt.Sprintf(`"filters":%s}`, r.filters)
	} else {
		options += fmt.Sprintf(`"symbols":[%q],"depth":20,"interval":1000}`, strings.ToUpper(r.symbol))
	}
	began := time.Now()
	s, err := dial(addr, path+"?"+how+"=1&options="+url.QueryEscape(options))
	if err != nil {
		return a, err
	}
	defer s.conn.Close()
	if a, err = s.read(began, w, "", q.most, q.see); err != nil {
		return a, fmt.Errorf("the peer's replay of %s: %w", r.name, err)
	}
	return a, nil
}
