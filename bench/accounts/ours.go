package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"runtime/pprof"
	"time"

	"hyperlight/engine/access"
	"hyperlight/engine/account"
	"hyperlight/engine/book"
	"hyperlight/engine/fills"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/sim"
	"hyperlight/http"
	"hyperlight/kv"
)

// Budgets: the fills of all accounts fit where nothing is kept ready; else both are as accounts.ready_bodies has them by
// default, and what is kept is of the accounts asked for most.
const (
	fillsBudget = 1 << 30
	readyBudget = 128 << 20
)

// serveOurs is the process of ours: it makes the accounts and the record of their trades in a new store, and answers over
// the server that clients get. It prints two addresses, the second with ready bodies; at a line of its input the profile
// begins, and with its input it ends.
func serveOurs(o *options) error {
	store, err := kv.Open(kv.Options{Dir: o.dir})
	if err != nil {
		return err
	}
	defer store.Close()
	tracker, err := account.New(account.Options{Store: store, Markets: marketOf, Now: time.Now})
	if err != nil {
		return err
	}
	rnd := rand.New(rand.NewPCG(o.seed, 1))
	for i := range o.accounts {
		tracker.Polled(row(rnd, accountAt(i), o.positions))
	}
	orders := newRestingOrders(rnd, o.accounts, o.orders)
	if err := record(store, rnd, o.accounts); err != nil {
		return err
	}
	reader := history.NewReader(store, marketOf)
	now := func() time.Time { return time.UnixMilli(int64(end + hour)) }
	all := http.AccountOptions{Accounts: tracker, History: reader, Orders: orders, Stats: stats, StaleAfter: math.MaxInt64}
	rules, err := access.New(access.Options{LocalPlan: "enterprise"})
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	var servers []*http.Server
	for _, ready := range []bool{false, true} {
		recent := fills.Options{Reader: reader, Budget: fillsBudget, Now: now, NoTexts: true}
		if ready {
			all.ReadyBodies, recent.Budget, recent.NoTexts = readyBudget, readyBudget, false
		}
		all.Fills = fills.New(recent)
		server, err := http.New(http.Options{Engine: listing{}, History: reader, Access: rules, Accounts: all,
			Health: func() http.Health { return http.Health{} }, Status: func() http.Status { return http.Status{} },
			Logger: slog.New(slog.DiscardHandler), AccessLog: null})
		if err != nil {
			return err
		}
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		go server.Serve(ln)
		fmt.Print(ln.Addr(), " ")
		servers = append(servers, server)
	}
	fmt.Println()
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err == nil && o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if err := awaitEnd(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, s := range servers {
		err = errors.Join(err, s.Shutdown(ctx))
	}
	return err
}

// awaitEnd returns when the input ends.
func awaitEnd() error {
	if _, err := bufio.NewReader(os.Stdin).ReadString(0); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// record writes the trades of all accounts into the store, sealed as they are some hours later.
func record(store *kv.Store, rnd *rand.Rand, accounts int) error {
	w, err := history.NewWriter(history.WriterOptions{Store: store, Markets: marketOf, Import: true})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	trades(rnd, accounts, func(m model.MarketID, rows []model.Trade) {
		for len(rows) > 0 {
			n := min(len(rows), 512)
			last := &rows[n-1]
			w.OnEvent(&model.Event{Market: m, Time: last.Time, Recv: last.Recv, Payload: &model.TradeBatch{Rows: rows[:n]}}, nil)
			rows = rows[n:]
		}
	})
	if err := w.Flush(ctx); err != nil {
		return fmt.Errorf("write what is left: %w", err)
	}
	if err := w.SealNow(ctx, time.UnixMilli(int64(end+2*hour))); err != nil {
		return fmt.Errorf("seal the record: %w", err)
	}
	cancel()
	return <-ended
}

func stats(id model.MarketID) (*model.Stats, model.Micros) {
	return &model.Stats{Has: model.HasMark, Mark: num.Decimal{Mant: int64(markOf(id)), Scale: priceScale}}, end.Micros()
}

// listing is an engine that knows markets and nothing live.
type listing struct{}

func (listing) Markets() []*model.Market { return allMarkets }

func (listing) Market(native int64) (*model.Market, bool) { return marketOf(model.MarketID(native)) }

func (listing) Book(context.Context, *model.Market) (*book.View, error) {
	return nil, history.ErrNoData
}

func (listing) Enter(context.Context) (func(), error) { return func() {}, nil }

// serveSim is the process of the simulated venue, without its limits. It prints its address and ends with its input.
func serveSim() error {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- sim.Serve(ctx, ln, sim.New(sim.Options{Seed: 1, Markets: markets, Accounts: simAccounts, Rate: 1}),
			sim.ServeOptions{Limits: sim.Limits{RESTPerMinute: -1}})
	}()
	fmt.Println(ln.Addr())
	if err := awaitEnd(); err != nil {
		return err
	}
	cancel()
	return <-ended
}
