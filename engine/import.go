package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"hyperlight/engine/archive"
	"hyperlight/engine/book"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/history"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/kv"
)

const (
	// longestLine bounds one recorded line: a whole book of ten thousand levels a side is about 1 MB.
	longestLine = 64 << 20
	// progressEvery is how many lines lie between two reports of progress.
	progressEvery = 4096
	// zoneLines is how many lines are searched for a venue time to compare a zoneless clock with.
	zoneLines = 10_000
)

// ImportOptions configures an Import.
type ImportOptions struct {
	Store kv.Options
	Files []string
	// Markets is an orderBooks or orderBookDetails reply that tells symbols and decimals of markets the store does not
	// know; nil: they are inferred from the frames.
	Markets  []byte
	Archive  ArchiveOptions
	Progress func(ImportProgress) // may be nil; called from the importing goroutine
	Now      func() time.Time     // nil: the wall clock
	Logger   *slog.Logger         // nil: discard
}

// ImportProgress says how far an import is. Bytes are those of the files as they lie on disk.
type ImportProgress struct {
	File           string
	Done, Total    int64 // over all files
	Frames, Trades uint64
}

// ImportReport is what an import did.
type ImportReport struct {
	Files          int               `json:"files"`
	Lines          uint64            `json:"lines"`
	Frames         uint64            `json:"frames"`
	Updates        uint64            `json:"updates"`       // book frames stored
	Trades         uint64            `json:"trades"`        // trades stored
	KnownUpdates   uint64            `json:"known_updates"` // book frames left out: their time was held already
	KnownTrades    uint64            `json:"known_trades"`  // trades left out: stored already
	Gaps           uint64            `json:"gaps"`          // holes found in the recording
	Ignored        uint64            `json:"ignored"`       // frames of types that are not recorded
	Rejected       uint64            `json:"rejected"`      // lines that were not understood
	Reasons        map[string]uint64 `json:"reasons"`       // why, with counts
	NoFrames       []string          `json:"no_frames"`     // files without a single frame: no recordings of this venue
	NoRows         []string          `json:"no_rows"`       // archives of which no row was good
	Rows           uint64            `json:"rows"`          // rows of archives that were good
	Candles        uint64            `json:"candles"`       // of them candles
	Fundings       uint64            `json:"fundings"`      // and settled fundings
	Faults         []string          `json:"faults"`        // the first rows of archives that were left out, and why
	CutShort       []string          `json:"cut_short"`     // files that end too early or are damaged inside; loaded up to there
	Markets        int               `json:"markets"`       // markets seen
	From           int64             `json:"from"`          // first receive time, ms
	To             int64             `json:"to"`            // last receive time, ms
	ElapsedSeconds float64           `json:"elapsed_seconds"`
}

// Import loads recordings and archives into a store that no server has open: recordings through the same decoder, books and
// writer as live data, with each recording's own clock, the lake's book_updates through the same books and writer, and other
// archives row by row. Trades that are stored already are merged by id, book data is added only where nothing was held, so
// a second import of a file adds nothing. A damaged line is counted and left out, and so is a file without frames; a store
// that takes no rows ends the import.
func Import(ctx context.Context, o ImportOptions) (report *ImportReport, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Store.Now, o.Store.Logger = o.Now, o.Logger
	store, err := kv.Open(o.Store)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if h := store.Metrics(); h.ReadOnly {
		return nil, fmt.Errorf("open store: %w", h.Reason)
	}
	im := &importer{o: o, store: store, began: o.Now(), seen: map[model.MarketID]bool{}}
	im.report.Reasons, im.report.NoFrames, im.report.CutShort = map[string]uint64{}, []string{}, []string{}
	im.report.NoRows, im.report.Faults = []string{}, []string{}
	for _, f := range o.Files {
		if info, err := os.Stat(f); err == nil {
			im.total += info.Size()
		}
	}
	for _, f := range o.Files {
		if err := im.file(ctx, f); err != nil {
			return nil, fmt.Errorf("import %s: %w", f, err)
		}
		im.report.Files++
	}
	im.report.Markets = len(im.seen)
	im.report.ElapsedSeconds = o.Now().Sub(im.began).Seconds()
	return &im.report, nil
}

// importer carries an import over its files. Each file gets a registry and a writer of its own: recordings may lie
// in any order, and what one of them holds is known data to the next.
type importer struct {
	o      ImportOptions
	store  *kv.Store
	began  time.Time
	report ImportReport
	seen   map[model.MarketID]bool
	total  int64
	done   int64 // bytes of the files before this one
	saving error // why markets could not be stored
}

func (im *importer) file(ctx context.Context, name string) error {
	// Not Recover: an import ends its own intervals and must leave those of the last run as they are.
	known, err := history.Markets(ctx, im.store)
	if err != nil {
		return err
	}
	var writer *history.Writer
	var target *market.Importer
	writer, err = history.NewWriter(history.WriterOptions{
		Store: im.store, Now: im.o.Now, Logger: im.o.Logger, Import: true, Pin: true,
		Markets: func(id model.MarketID) (*model.Market, bool) { return target.Registry().Get(id) },
	})
	if err != nil {
		return fmt.Errorf("start history: %w", err)
	}
	target = market.NewImporter(market.Options{
		Now: im.o.Now, Logger: im.o.Logger, Listeners: []market.Listener{im, writer},
		Save: func(ms []*model.Market) error {
			im.saving = history.SaveMarkets(im.store, ms)
			return im.saving
		},
	})
	writing := newStage(context.WithoutCancel(ctx), "history")
	failed := make(chan error, 1)
	writing.run(failed, writer.Run)
	err = im.load(ctx, name, target, writer, known)
	if err == nil {
		if err = writer.Flush(ctx); err == nil {
			err = writer.SealNow(ctx, im.o.Now())
		}
	}
	stopped := writing.stop()
	select {
	case broken := <-failed:
		err = broken // the cause of whatever Flush said
	default:
	}
	stored := writer.Stored()
	im.report.Updates += stored.Updates
	im.report.KnownUpdates += stored.KnownUpdates
	im.report.Trades += stored.Trades
	im.report.KnownTrades += stored.KnownTrades
	return errors.Join(err, stopped)
}

// load registers the markets that are known and loads a file as what it is.
func (im *importer) load(ctx context.Context, name string, target *market.Importer, writer *history.Writer, known []*model.Market) error {
	registry := target.Registry()
	for _, m := range known {
		registry.Restore(m, market.Start{})
	}
	if im.o.Markets != nil {
		list, err := lighter.ParseMarkets(im.o.Markets)
		if err != nil {
			return fmt.Errorf("read markets: %w", err)
		}
		if _, err := registry.Upsert(list); err != nil {
			return fmt.Errorf("register markets: %w", err)
		}
	}
	if lake, err := isParquet(name); err != nil {
		return err
	} else if lake {
		return im.lake(ctx, name, target, writer)
	}
	file, err := openRecording(name)
	if errors.Is(err, errNotGzip) {
		im.reject(errNotGzip.Error())
		im.report.NoFrames = append(im.report.NoFrames, name)
		return nil
	}
	if err != nil {
		return err
	}
	defer file.close()
	if o := im.archiveOptions(name); o.Dataset != archive.Unknown || archive.Looks(file.head(), o) {
		return im.text(ctx, name, file, registry, writer, o)
	}
	return im.frames(ctx, name, file, target)
}

// frames sends every frame of a file through a decoder and a shard.
func (im *importer) frames(ctx context.Context, name string, file *recordingFile, target *market.Importer) error {
	registry := target.Registry()
	lines, understood := im.report.Lines, im.report.Frames-im.report.Ignored
	decoder := lighter.NewDecoder(registry.Resolver(lighterID, true))
	run := importRun{im: im, file: file, target: target, decoder: decoder}
	emit := run.emit
	for n := 1; ; n++ {
		line, err := file.next()
		if err == io.EOF {
			break
		}
		if errors.Is(err, errLongLine) {
			im.report.Lines++
			im.reject(errLongLine.Error())
			continue
		}
		if err != nil {
			// What was read so far is good: a recording cut short still loads up to its end.
			im.reject("file is cut short or damaged inside")
			im.report.CutShort = append(im.report.CutShort, name)
			im.o.Logger.Warn("recording is cut short", "file", name, "error", err)
			break
		}
		if n%progressEvery == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			im.progress(name, file.position())
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		im.report.Lines++
		run.line(line, name, emit)
		if im.saving != nil {
			return im.saving
		}
	}
	if (im.report.Lines > lines || file.size == 0) && im.report.Frames-im.report.Ignored == understood {
		im.report.NoFrames = append(im.report.NoFrames, name)
	}
	im.done += file.size
	im.progress(name, 0)
	return nil
}

func (im *importer) progress(name string, position int64) {
	if im.o.Progress != nil {
		im.o.Progress(ImportProgress{
			File: name, Done: im.done + position, Total: im.total, Frames: im.report.Frames, Trades: im.report.Trades,
		})
	}
}

func (im *importer) reject(reason string) {
	im.report.Rejected++
	im.report.Reasons[reason]++
}

// OnEvent implements market.Listener: it counts what the recording holds.
func (im *importer) OnEvent(e *model.Event, _ *book.View) {
	if g, ok := e.Payload.(*model.Gap); ok && g.To == 0 {
		im.report.Gaps++
	}
	if e.Market != model.NoMarket {
		im.seen[e.Market] = true
	}
	ms := int64(e.Recv.Millis())
	if im.report.From == 0 || ms < im.report.From {
		im.report.From = ms
	}
	im.report.To = max(im.report.To, ms)
}

// OnTick implements market.Listener.
func (im *importer) OnTick(model.Micros, []market.Held) {}

var (
	errNoTime   = errors.New("no receive time and no venue time before it")
	errNotGzip  = errors.New("file begins as gzip and is none")
	errLongLine = fmt.Errorf("line is longer than %d MiB", longestLine>>20)
)
