// Package tape turns recordings of other venues into frames as Lighter sends them, so that a whole day of a real market
// can go the way of live data. It keeps every price, size, time and hole of a recording and makes up only what Lighter's
// frames need besides: numbers of the chain, ids where the venue gave none. It knows nothing of stores.
package tape

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/model"
)

// longestLine bounds one line of a recording.
const longestLine = 4 << 20

var errFormat = errors.New("is no recording of StandX or Binance futures")

// Counts says what a recording held and what became of it.
type Counts struct {
	Lines     int // of the recordings
	Frames    int // written
	Books     int // whole books written
	Updates   int // book updates written, without the whole books
	Levels    int // level changes in the updates
	Trades    int
	Breaks    int // holes in the recording
	Unchanged int // recorded books equal to the one before, for which there is no update
}

// Writer writes frames of one market as recorded lines, {"seq","recv_us","msg"}.
type Writer struct {
	Counts Counts

	market *model.Market
	w      *bufio.Writer
	buf    []byte
	recv   model.Micros // of the last line: a recorder's clock never runs backwards
}

// source takes the lines of a venue's recording.
type source interface {
	line(line []byte, w *Writer) error
}

// Transcode writes the frames of recordings of one market, in the order given, which is that of time. Files that follow one
// another without a hole are one stream.
func Transcode(dst io.Writer, files ...string) (Counts, error) {
	w := &Writer{w: bufio.NewWriterSize(dst, 1<<20)}
	var from source
	for _, name := range files {
		var err error
		if from, err = w.file(name, from); err != nil {
			return w.Counts, fmt.Errorf("transcode %s: %w", name, err)
		}
	}
	if err := w.w.Flush(); err != nil {
		return w.Counts, fmt.Errorf("write frames: %w", err)
	}
	return w.Counts, nil
}

// file reads a recording; from is the source of the file before, nil for the first.
func (w *Writer) file(name string, from source) (source, error) {
	lines, err := open(name)
	if err != nil {
		return nil, err
	}
	defer lines.close()
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		if from == nil {
			if from, w.market, err = recognize(line); err != nil {
				return nil, err
			}
		}
		w.Counts.Lines++
		if err := from.line(line, w); err != nil {
			return nil, fmt.Errorf("line %d: %w", w.Counts.Lines, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return from, nil
}

// Market tells of which market a recording is.
func Market(name string) (*model.Market, error) {
	lines, err := open(name)
	if err != nil {
		return nil, err
	}
	defer lines.close()
	for lines.Scan() {
		if line := bytes.TrimSpace(lines.Bytes()); len(line) > 0 {
			_, m, err := recognize(line)
			if err != nil {
				return nil, fmt.Errorf("%s %w", name, err)
			}
			return m, nil
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return nil, fmt.Errorf("%s %w", name, errFormat)
}

// recognize tells the venue and the market from a line.
func recognize(line []byte) (source, *model.Market, error) {
	switch {
	case bytes.HasPrefix(line, []byte(`{"type":`)):
		return &standX{}, standXMarket(), nil
	case line[0] >= '0' && line[0] <= '9':
		return newBinance(line)
	}
	return nil, nil, errFormat
}

// Markets returns an orderBooks reply that tells the symbols and decimals of markets, as an import takes it.
func Markets(markets ...*model.Market) []byte {
	b := []byte(`{"code":200,"order_books":[`)
	for i, m := range markets {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"symbol":%q,"market_id":%d,"market_type":"perp","status":"active","supported_size_decimals":%d,"supported_price_decimals":%d}`,
			m.Symbol, m.Native, m.SizeScale, m.PriceScale)
	}
	return append(b, "]}\n"...)
}

func newMarket(id model.MarketID, symbol string, price, size uint8) *model.Market {
	return &model.Market{ID: id, Native: int64(id), Symbol: symbol, Type: "perp", Active: true, PriceScale: price, SizeScale: size,
		Scales: []model.Scale{{Price: price, Size: size}}}
}

// book writes a book frame.
func (w *Writer) book(u *model.BookUpdate, t model.Millis, recv model.Micros) error {
	if u.Snapshot {
		w.Counts.Books++
	} else {
		w.Counts.Updates++
		w.Counts.Levels += len(u.Bids) + len(u.Asks)
	}
	w.begin(recv)
	w.buf = lighter.AppendBookFrame(w.buf, w.market, 0, u, t)
	return w.end()
}

// trade writes a frame of one trade; first says that it is the first frame of the channel after a hole.
func (w *Writer) trade(t *model.Trade, recv model.Micros, first bool) error {
	w.Counts.Trades++
	w.begin(recv)
	w.buf = lighter.AppendTradeFrame(w.buf, w.market, &model.TradeBatch{Rows: []model.Trade{*t}, History: first})
	return w.end()
}

func (w *Writer) begin(recv model.Micros) {
	w.recv = max(w.recv, recv)
	w.Counts.Frames++
	b := append(w.buf[:0], `{"seq":`...)
	b = strconv.AppendInt(b, int64(w.Counts.Frames), 10)
	b = append(b, `,"recv_us":`...)
	b = strconv.AppendInt(b, int64(w.recv), 10)
	w.buf = append(b, `,"msg":`...)
}

func (w *Writer) end() error {
	w.buf = append(w.buf, "}\n"...)
	if _, err := w.w.Write(w.buf); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	return nil
}

// lines are those of a recording, plain or gzip.
type lines struct {
	*bufio.Scanner
	file *os.File
	zip  *gzip.Reader
}

func open(name string) (*lines, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	l := &lines{file: f}
	r := bufio.NewReaderSize(f, 1<<20)
	l.Scanner = bufio.NewScanner(r)
	if magic, _ := r.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		if l.zip, err = gzip.NewReader(r); err != nil {
			_ = f.Close() // opened for reading
			return nil, fmt.Errorf("open gzip: %w", err)
		}
		l.Scanner = bufio.NewScanner(l.zip)
	}
	l.Buffer(make([]byte, 64<<10), longestLine)
	return l, nil
}

func (l *lines) close() {
	if l.zip != nil {
		_ = l.zip.Close()
	}
	_ = l.file.Close() // opened for reading
}
