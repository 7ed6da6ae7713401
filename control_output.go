package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hyperlight/config"
	"hyperlight/engine/model"
)

// listView says how a row of a list is printed in columns.
type listView[T any] struct {
	header []string
	cells  func(T) []string
}

// printList prints a list as it comes: CSV and --stream row by row, a table and one JSON document when all is there.
func printList[T any](a *app, v listView[T], stream bool, rows iter.Seq2[T, error]) error {
	if stream && a.output != "json" {
		return usagef("--stream needs --output json")
	}
	w := bufio.NewWriter(a.stdout)
	var err error
	switch {
	case stream:
		err = streamJSON(w, rows)
	case a.output == "csv":
		err = streamCSV(w, v, rows)
	default:
		all, out := []T{}, result{header: v.header}
		for row, err := range rows {
			if err != nil {
				return err
			}
			all = append(all, row)
			out.rows = append(out.rows, v.cells(row))
		}
		out.json = all
		return a.print(out)
	}
	if flushed := w.Flush(); err == nil && flushed != nil {
		err = fmt.Errorf("write result: %w", flushed)
	}
	return err
}

func streamJSON[T any](w io.Writer, rows iter.Seq2[T, error]) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for row, err := range rows {
		if err != nil {
			return err
		}
		if err := e.Encode(row); err != nil {
			return fmt.Errorf("write result: %w", err)
		}
	}
	return nil
}

func streamCSV[T any](w io.Writer, v listView[T], rows iter.Seq2[T, error]) error {
	c := csv.NewWriter(w)
	write := func(cells []string) error {
		if err := c.Write(cells); err != nil {
			return fmt.Errorf("write result: %w", err)
		}
		return nil
	}
	if err := write(v.header); err != nil {
		return err
	}
	for row, err := range rows {
		if err != nil {
			c.Flush()
			return err
		}
		if err := write(v.cells(row)); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// addStreamFlag adds --stream to a command that lists.
func addStreamFlag(cmd *cobra.Command, stream *bool) {
	cmd.Flags().BoolVar(stream, "stream", false, "with --output json: one JSON object a line")
}

// addYesFlag adds --yes to a command that takes something away.
func addYesFlag(cmd *cobra.Command, yes *bool) {
	cmd.Flags().BoolVar(yes, "yes", false, "do not ask")
}

// confirm asks the person in front; where there is none, only --yes will do.
func (a *app) confirm(yes bool, what string) error {
	if yes {
		return nil
	}
	if !isTerminal(os.Stdin) || !isTerminal(a.stderr) {
		return failf(exitRefused, "add --yes", "nobody can be asked whether to %s", what)
	}
	fmt.Fprintf(a.stderr, "%s? [y/N] ", strings.ToUpper(what[:1])+what[1:])
	line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return failf(exitRefused, "", "nothing was changed")
	}
	return nil
}

// timeText writes a time for people; nil is none.
func timeText(t *model.Millis) string {
	if t == nil {
		return "-"
	}
	return time.UnixMilli(int64(*t)).UTC().Format(time.RFC3339)
}

// limitText writes a number of a plan: -1 lifts a limit.
func (a *app) limitText(n int64) string {
	if n == config.Unlimited && a.output == "table" {
		return "unlimited"
	}
	return strconv.FormatInt(n, 10)
}

// parseMoment reads RFC 3339, a day of UTC, or unix milliseconds.
func parseMoment(text string) (model.Millis, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return model.Millis(t.UnixMilli()), nil
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return model.Millis(t.UnixMilli()), nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 1e11 && n < 1e14 {
		return model.Millis(n), nil
	}
	return 0, fmt.Errorf("%q is no time; write 2026-01-31, 2026-01-31T12:00:00Z or unix milliseconds", text)
}
