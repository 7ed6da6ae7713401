package ws

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
	"hyperlight/engine/replay"
)

// Offline is a replay without a socket. Its texts are those of a replay message.
type Offline struct {
	Start, End string // as the API reads times; End may be empty
	Speed      string // a number or "max"
	Format     string
	Markets    []int64 // nil: all
	Include    []string
	// Progress, where set, is told now and then how far the timeline is.
	Progress func(from, at, to model.Millis)
}

const (
	offlineBytes    = 256 << 10 // messages at "max" are written in pieces of this size
	offlineProgress = 4096      // messages between two reports
	offlineSpeed    = 1e6       // no plan bounds who owns the store
)

// PlayOffline writes the messages that /ws/replay would send, one a line, and returns how many events they were. Of the
// options it needs Markets, History and Native. What cannot be played is a *model.Error; a failed write is w's error.
func PlayOffline(ctx context.Context, o Options, r Offline, w io.Writer) (events uint64, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	p := &offlinePlayer{now: o.Now, progress: r.Progress}
	req, err := r.request(&Server{o: o})
	if refused, ok := errors.AsType[*refusal](err); ok {
		return 0, &model.Error{Code: model.CodeBadRequest, Message: refused.message}
	}
	if err != nil {
		return 0, err
	}
	p.from, p.to, p.paced = req.source.From, req.source.To, req.speed != 0
	src := replay.NewSource(o.History, req.source)
	ahead := replay.NewAhead(src)
	defer ahead.Close()
	switch some, err := src.HasData(ctx); {
	case err != nil:
		return 0, err
	case !some:
		return 0, model.NotFound("nothing is recorded in that range")
	}
	total, known, err := src.Total(ctx)
	if err != nil {
		return 0, err
	}
	p.spill = newSpill(w, offlineBytes+offlineBytes/4)
	defer func() { err = errors.Join(err, p.spill.close(p.buf)) }()
	opening := (&playing{id: uuid.NewString(), req: req}).started(total, known)
	p.line(append(p.buf, opening[len(opening)-payloadLen(opening):]...))
	p.enc = newReplayEncoder(req, &o.Native)
	player := replay.NewPlayer(ahead, replay.PlayerOptions{Speed: req.speed, Now: o.Now})
	if err := player.Run(ctx, p.send); err != nil {
		return p.sent, err
	}
	p.line(append(strconv.AppendUint(append(p.buf, `{"type":"replay_complete","events_sent":`...), p.sent, 10), '}'))
	return p.sent, nil
}

// request checks what is asked for by the rules of the socket, under a plan without limits.
func (r *Offline) request(s *Server) (*replayRequest, error) {
	plans := access.DefaultPlans()
	plan := plans[len(plans)-1]
	plan.MaxReplaySpeed = offlineSpeed
	m := &message{Format: r.Format, Include: r.Include, MarketIDs: r.Markets, Start: json.RawMessage(strconv.Quote(r.Start))}
	if r.End != "" {
		m.End = json.RawMessage(strconv.Quote(r.End))
	}
	if r.Speed == speedMax {
		m.Speed = json.RawMessage(`"` + speedMax + `"`)
	} else {
		m.Speed = json.RawMessage(r.Speed)
	}
	if m.MarketIDs == nil {
		for _, market := range s.o.Markets.All() {
			m.MarketIDs = append(m.MarketIDs, market.Native)
		}
	}
	if len(m.MarketIDs) == 0 {
		return nil, badRequest("the store knows no market")
	}
	return s.parseReplay(m, &plan)
}

// offlinePlayer joins messages into pieces. It is used by the player's goroutine.
type offlinePlayer struct {
	spill    *spill
	enc      *replayEncoder
	now      func() time.Time
	progress func(from, at, to model.Millis)
	from, to model.Millis
	paced    bool
	buf      []byte
	at       model.Millis // the wall clock, read now and then at "max"
	sent     uint64
}

func (p *offlinePlayer) line(b []byte) { p.buf = append(b, '\n') }

func (p *offlinePlayer) send(ev *replay.Event) error {
	if p.paced || p.sent%clockEvery == 0 {
		p.at = model.Millis(p.now().UnixMilli())
	}
	p.line(p.enc.append(p.buf, ev, p.at))
	if p.sent++; p.progress != nil && p.sent%offlineProgress == 0 {
		p.progress(p.from, ev.TS.Millis(), p.to)
	}
	if p.paced || len(p.buf) >= offlineBytes {
		var err error
		if p.buf, err = p.spill.write(p.buf); err != nil {
			return err
		}
	}
	return nil
}
