package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"hyperlight/bench/sides"

	"github.com/jackc/pgx/v5"
)

// element is an account's element cut into the parts that a table has columns for.
type element struct {
	head struct {
		Index     int64  `json:"account_index"`
		Address   string `json:"l1_address"`
		Type      int    `json:"account_type"`
		Status    int    `json:"status"`
		Coll      string `json:"collateral"`
		Available string `json:"available_balance"`
		Total     string `json:"total_asset_value"`
		Cross     string `json:"cross_asset_value"`
		Orders    int    `json:"total_order_count"`
		Pending   int    `json:"pending_order_count"`
		UpdatedAt int64  `json:"updated_at"`
		Source    string `json:"source"`
	}
	positions, orders, fills []byte
	// without is the whole element without the member fills.
	without []byte
}

var elementsBegin, elementsEnd, nextElement = []byte(`"accounts":[`), []byte(`],"not_found":`), []byte(`,{"account_index":`)

// elements cuts the list of an answer into its elements.
func elements(body []byte) ([][]byte, error) {
	_, rest, ok := bytes.Cut(body, elementsBegin)
	list, _, closed := bytes.Cut(rest, elementsEnd)
	if !ok || !closed {
		return nil, fmt.Errorf("no accounts in %.200s", body)
	}
	var out [][]byte
	for {
		i := bytes.Index(list, nextElement)
		if i < 0 {
			return append(out, list), nil
		}
		out, list = append(out, list[:i]), list[i+1:]
	}
}

func (e *element) read(text []byte) error {
	head, rest, ok1 := bytes.Cut(text, []byte(`,"positions":`))
	positions, rest, ok2 := bytes.Cut(rest, []byte(`,"orders":`))
	orders, rest, ok3 := bytes.Cut(rest, []byte(`,"fills":`))
	fills, tail, ok4 := bytes.Cut(rest, []byte(`,"updated_at":`))
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return fmt.Errorf("not an account: %.300s", text)
	}
	e.positions, e.orders, e.fills = positions, orders, fills
	e.without = append(append(append(e.without[:0], text[:len(text)-len(rest)-len(`,"fills":`)]...), `,"updated_at":`...), tail...)
	rowText := append(append(append([]byte(nil), head...), `,"updated_at":`...), tail...)
	return json.Unmarshal(rowText, &e.head)
}

// fill reads all accounts from ours and gives both others the same: what they hold is what ours answers. It prints how
// long an answer takes for which the fills of all accounts must be read from the disk.
func fill(ctx context.Context, o *options, ours, socket, url string) error {
	began := time.Now()
	all, err := dial(ours, 1, o)
	if err != nil {
		return err
	}
	ask := all[0]
	defer ask.conn.Close()
	client := openRedis(socket, 1)
	defer client.Close()
	accounts, accountLines := io.Pipe()
	fills, fillLines := io.Pipe()
	copied := make(chan error, 2)
	go func() { copied <- load(ctx, url, "accounts", accounts) }()
	go func() { copied <- load(ctx, url, "fills", fills) }()
	var took time.Duration
	var e element
	var lines, moreLines []byte
	batches := 0
	err = func() error {
		for from := 0; from < o.accounts; from += 1000 {
			ids := ask.ids[:0:0]
			for i := range min(1000, o.accounts-from) {
				ids = append(ids, int32(accountAt(from+i)))
			}
			asked := time.Now()
			body, err := ask.fetch(ids, true)
			if err != nil {
				return err
			}
			took += time.Since(asked)
			batches++
			list, err := elements(body)
			if err != nil || len(list) != len(ids) {
				return fmt.Errorf("%d accounts of %d: %w", len(list), len(ids), err)
			}
			pipe := client.Pipeline()
			lines, moreLines = lines[:0], moreLines[:0]
			for _, text := range list {
				if err := e.read(text); err != nil {
					return err
				}
				h := &e.head
				pipe.Set(ctx, elementKey(h.Index, false), bytes.Clone(e.without), 0)
				pipe.Set(ctx, elementKey(h.Index, true), text, 0)
				lines = fmt.Appendf(lines, "%d\t%d\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", h.Index, h.UpdatedAt, h.Address, h.Type, h.Status,
					h.Orders, h.Pending, h.Coll, h.Available, h.Total, h.Cross, h.Source, e.positions, e.orders)
				moreLines = fmt.Appendf(moreLines, "%d\t%s\n", h.Index, e.fills)
			}
			if _, err := pipe.Exec(ctx); err != nil {
				return fmt.Errorf("fill Redis: %w", err)
			}
			_, err1 := accountLines.Write(lines)
			_, err2 := fillLines.Write(moreLines)
			if err := errors.Join(err1, err2); err != nil {
				return err
			}
		}
		return nil
	}()
	_, _ = accountLines.CloseWithError(err), fillLines.CloseWithError(err)
	if err := errors.Join(err, <-copied, <-copied); err != nil {
		return err
	}
	sides.Progress("Redis and PostgreSQL", began)
	fmt.Printf("cold: a batch of 1,000 whose fills lie on the disk, each of them asked for once: %.1f ms on average\n\n", sides.Millis(took)/float64(batches))
	return run(ctx, url, analyze)
}

// warm asks for the accounts that are asked for most: a server that has been up for a while holds their fills.
func warm(o *options, addr string) error {
	all, err := dial(addr, 1, o)
	if err != nil {
		return err
	}
	defer all[0].conn.Close()
	for from := 0; from < o.most; from += 1000 {
		if _, err := all[0].fetch(all[0].ids[from:min(from+1000, o.most)], true); err != nil {
			return err
		}
	}
	return nil
}

// load copies lines into a table.
func load(ctx context.Context, url, table string, lines *io.PipeReader) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return errors.Join(err, lines.CloseWithError(err))
	}
	defer conn.Close(ctx)
	if _, err := conn.PgConn().CopyFrom(ctx, lines, "COPY "+table+" FROM STDIN"); err != nil {
		err = fmt.Errorf("copy into %s: %w", table, err)
		return errors.Join(err, lines.CloseWithError(err))
	}
	return nil
}
