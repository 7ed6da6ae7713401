package ws

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/engine/replay"
)

const (
	minSpeed      = 0.1
	defaultDepth  = 20
	maxMarkets    = 1000
	day           = 24 * 3600 * 1000 // milliseconds
	secondsBelow  = 100_000_000_000  // smaller integers are unix seconds (contract 1.7)
	speedMax      = "max"
	formatEvent   = "event"
	formatLive    = "live"
	formatNative  = "native"
	includeWords  = "trade, orderbook_snapshot, order_book, funding, market_stats, liquidation"
	defaultFormat = formatEvent
)

// replayRequest is a checked replay message.
type replayRequest struct {
	source    replay.Request
	end       model.Millis // as asked for; the source ends at now where that is earlier
	speed     float64      // 0 is "max"
	format    string
	depth     int  // levels per side of one-second snapshots
	fullDepth int  // levels per side of whole books: 0 for all
	several   bool // asked with market_ids
}

// refusal is why a replay does not start: an error code of the socket and its message.
type refusal struct{ code, message string }

func (r *refusal) Error() string { return r.code + ": " + r.message }

func badRequest(message string) *refusal { return &refusal{codeBadRequest, message} }

// parseReplay checks a replay message against the caller's plan.
func (s *Server) parseReplay(m *message, plan *access.Plan) (*replayRequest, error) {
	if plan.ReplayWindowDays == 0 || plan.ConcurrentReplays == 0 {
		return nil, &refusal{codeForbidden, "replay is not part of the " + plan.Slug + " tier"}
	}
	r := &replayRequest{}
	if err := s.parseMarkets(m, r); err != nil {
		return nil, err
	}
	if err := s.parseFormat(m, r); err != nil {
		return nil, err
	}
	if err := parseDepth(m, r); err != nil {
		return nil, err
	}
	if most := s.o.SnapshotDepth; most > 0 {
		r.depth = min(r.depth, most)
	}
	r.source.Depth = r.depth
	r.speed = 1
	if m.Speed != nil {
		speed, err := parseSpeed(m.Speed, plan)
		if err != nil {
			return nil, err
		}
		r.speed = speed
	}
	if err := s.parseRange(m, plan, r); err != nil {
		return nil, err
	}
	return r, nil
}

func (s *Server) parseMarkets(m *message, r *replayRequest) error {
	ids := m.MarketIDs
	switch {
	case m.MarketID != nil && ids != nil:
		return badRequest("give market_id or market_ids, not both")
	case m.MarketID != nil:
		ids = []int64{*m.MarketID}
	case len(ids) == 0:
		return badRequest("market_id is required")
	case len(ids) > maxMarkets:
		return badRequest(fmt.Sprintf("market_ids must hold at most %d markets", maxMarkets))
	default:
		r.several = true
	}
	for _, id := range ids {
		mkt, ok := s.o.Markets.ByNative(venueLighter, id)
		if !ok {
			return badRequest(fmt.Sprintf("market_id %d is unknown", id))
		}
		if !slices.ContainsFunc(r.source.Markets, func(have *model.Market) bool { return have.ID == mkt.ID }) {
			r.source.Markets = append(r.source.Markets, mkt)
		}
	}
	return nil
}

// parseFormat reads format and include, which decide the order and the start state.
func (s *Server) parseFormat(m *message, r *replayRequest) error {
	r.format = m.Format
	if r.format == "" {
		r.format = defaultFormat
	}
	include := replay.Kinds(replay.Trade, replay.Snapshot)
	if m.Include != nil {
		include = 0
		for _, name := range m.Include {
			k, ok := replay.ParseKind(name)
			if !ok {
				return badRequest("include must be a list of " + includeWords)
			}
			include |= replay.Kinds(k)
		}
		if include == 0 {
			return badRequest("include must name at least one of " + includeWords)
		}
	}
	switch r.format {
	case formatEvent:
		r.source.Include, r.source.StartBooks = include, include.Has(replay.BookUpdate)
	case formatLive:
		r.setStream(include, record.Core|record.Hash)
	case formatNative:
		if !s.o.Native.known() {
			return badRequest(`format "native" cannot be replayed here`)
		}
		r.setStream(include, record.All)
		r.fundingInStats()
		if r.source.Include.Has(replay.Stats) && s.o.Native.Stats == nil {
			return badRequest(`market_stats cannot be replayed in format "native" here`)
		}
	default:
		return badRequest(`format must be "event", "live" or "native"`)
	}
	return nil
}

func parseDepth(m *message, r *replayRequest) error {
	r.depth = defaultDepth
	if m.Depth == nil {
		return nil
	}
	if *m.Depth < 1 {
		return badRequest("depth must be at least 1")
	}
	r.depth, r.fullDepth = *m.Depth, *m.Depth
	return nil
}

// parseSpeed reads a speed within the plan; 0 stands for "max".
func parseSpeed(text json.RawMessage, plan *access.Plan) (float64, error) {
	if string(text) == `"`+speedMax+`"` {
		if !plan.ReplayAtMax() {
			return 0, badRequest(`speed "max" is not part of the ` + plan.Slug + " tier")
		}
		return 0, nil
	}
	speed, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return 0, badRequest(`speed must be a number or "max"`)
	}
	if !(speed >= minSpeed && speed <= plan.MaxReplaySpeed) {
		return 0, badRequest(fmt.Sprintf("speed must be between %s and %s", speedText(minSpeed), speedText(plan.MaxReplaySpeed)))
	}
	return speed, nil
}

// speedText is a speed as a JSON number.
func speedText(speed float64) string { return strconv.FormatFloat(speed, 'f', -1, 64) }

// appendSpeed writes a speed as answers show it.
func appendSpeed(b []byte, speed float64) []byte {
	if speed == 0 {
		return append(b, `"max"`...)
	}
	return strconv.AppendFloat(b, speed, 'f', -1, 64)
}

func (s *Server) parseRange(m *message, plan *access.Plan, r *replayRequest) error {
	if m.Start == nil {
		return badRequest("start is required")
	}
	from, err := parseTime(m.Start)
	if err != nil {
		return badRequest("start " + err.Error())
	}
	now := model.Millis(s.o.Now().UnixMilli())
	days := plan.ReplayWindowDays
	if most := plan.MaxRangeDays; most >= 0 && (days < 0 || most < days) {
		days = most
	}
	window := model.Millis(days) * day // 0 or less: any
	r.end = now
	if m.End != nil {
		if r.end, err = parseTime(m.End); err != nil {
			return badRequest("end " + err.Error())
		}
	} else if days >= 0 {
		r.end = min(now, from+window)
	}
	if from >= r.end {
		return badRequest("start must be before end")
	}
	if days >= 0 && r.end-from > window {
		return &refusal{codeReplayWindow, fmt.Sprintf("a replay may cover at most %d days", days)}
	}
	if reach := plan.HistoryDepthDays; reach >= 0 && from < now-model.Millis(reach)*day {
		return &refusal{codeReplayWindow, fmt.Sprintf("start may lie at most %d days back", reach)}
	}
	r.source.From, r.source.To = from, min(r.end, max(now, from+1))
	return nil
}

var errTime = errors.New("must be RFC 3339, a date, or unix milliseconds")

// parseTime reads a JSON value as a time: RFC 3339, a date, unix milliseconds, or unix seconds where it is small.
func parseTime(text json.RawMessage) (model.Millis, error) {
	s := string(bytes.Trim(text, `"`))
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if n < 0 || n > maxTime {
			return 0, errTime
		}
		if n < secondsBelow {
			n *= 1000
		}
		return model.Millis(n), nil
	}
	if len(text) < 2 || text[0] != '"' {
		return 0, errTime
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil && t.Unix() >= 0 {
			return model.Millis(t.UnixMilli()), nil
		}
	}
	return 0, errTime
}

// maxTime is the last millisecond of the year 9999: beyond it a time is a mistake.
const maxTime = 253402300799999
