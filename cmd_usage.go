package main

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
	api "hyperlight/http"
)

func (a *app) newUsageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "usage",
		Short:   "Show who used how much",
		Example: "  hyperlight usage list",
		Args:    cobra.ArbitraryArgs,
		RunE:    subcommand,
	}
	cmd.AddCommand(a.newUsageListCommand(), a.newUsageExportCommand())
	return cmd
}

// usageRange are the flags that say whose usage of what time is meant.
type usageRange struct {
	from, to, email string
	stream          bool
}

func (a *app) addUsageFlags(cmd *cobra.Command, r *usageRange) {
	f := cmd.Flags()
	f.StringVar(&r.from, "from", "", "first `TIME`: 2026-01-31, 2026-01-31T12:00:00Z or unix milliseconds; else the start of this month, UTC")
	f.StringVar(&r.to, "to", "", "`TIME` before which it ends; else now")
	f.StringVar(&r.email, "user", "", "`EMAIL` of one user; else all, and the calls of this machine without a credential")
	addStreamFlag(cmd, &r.stream)
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
}

func (r *usageRange) parse(now time.Time) (from, to model.Millis, err error) {
	now = now.UTC()
	from = model.Millis(time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC).UnixMilli())
	to = model.Millis(now.UnixMilli() + 1)
	if r.from != "" {
		if from, err = parseMoment(r.from); err != nil {
			return 0, 0, usagef("--from: %w", err)
		}
	}
	if r.to != "" {
		if to, err = parseMoment(r.to); err != nil {
			return 0, 0, usagef("--to: %w", err)
		}
	}
	if to <= from {
		return 0, 0, usagef("--to must be after --from")
	}
	return from, to, nil
}

func (a *app) newUsageListCommand() *cobra.Command {
	var r usageRange
	view := listView[*api.ControlUsage]{
		header: []string{"user", "key", "name", "requests", "credits", "errors", "rate_limited"},
		cells: func(u *api.ControlUsage) []string {
			return append([]string{u.User, u.Key, u.Name}, countTexts(&u.Totals)...)
		},
	}
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List what each key, signed-in user and this machine used, keys that were revoked since included",
		Example: "  hyperlight usage list --from 2026-01-01 --to 2026-02-01",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, to, err := r.parse(time.Now())
			if err != nil {
				return err
			}
			return a.withOperator(storeThere, func(o *operator) error {
				return printList(a, view, r.stream, usageRows(cmd.Context(), o, api.ControlUsageQuery{From: from, To: to, Email: r.email}, controlPage))
			})
		},
	}
	a.addUsageFlags(cmd, &r)
	return cmd
}

// usageHour is a row of an export.
type usageHour struct {
	Timestamp model.Millis `json:"timestamp"` // start of the hour
	User      string       `json:"user"`
	KeyID     *string      `json:"key_id"`
	Key       string       `json:"key"`
	Name      string       `json:"name"`
	access.Counts
	Endpoints map[string]int64 `json:"endpoints"`
}

func (a *app) newUsageExportCommand() *cobra.Command {
	var r usageRange
	view := listView[*usageHour]{
		header: []string{"hour", "user", "key_id", "key", "name", "requests", "credits", "errors", "rate_limited", "endpoints"},
		cells: func(h *usageHour) []string {
			row := append([]string{timeText(&h.Timestamp), h.User, textOr(h.KeyID, ""), h.Key, h.Name}, countTexts(&h.Counts)...)
			return append(row, endpointText(h.Endpoints))
		},
	}
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the usage of every hour as CSV, or as JSON lines",
		Long: "Export writes a row for each hour and caller, as CSV unless --output says otherwise: with --output json --stream\n" +
			"one JSON object a line.",
		Example: "  hyperlight usage export --from 2026-01-01 --to 2026-02-01",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, to, err := r.parse(time.Now())
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("output") {
				a.output = "csv"
			}
			return a.withOperator(storeThere, func(o *operator) error {
				return printList(a, view, r.stream, usageHours(cmd.Context(), o, from, to, r.email))
			})
		},
	}
	a.addUsageFlags(cmd, &r)
	return cmd
}

// usageRows goes through the callers of every kind.
func usageRows(ctx context.Context, o *operator, q api.ControlUsageQuery, limit int) iter.Seq2[*api.ControlUsage, error] {
	return func(yield func(*api.ControlUsage, error) bool) {
		for _, q.Kind = range []string{api.ControlLocal, api.ControlTokens, api.ControlByKey, api.ControlGone} {
			rows := listRows[*api.ControlUsage](ctx, o, "usage/list", q.Email, limit, func(p api.ControlPage) any {
				q.ControlPage = p
				return q
			})
			for row, err := range rows {
				if !yield(row, err) || err != nil {
					return
				}
			}
		}
	}
}

const (
	// exportDays and exportCallers are how much is asked for at once; the server gives no more.
	exportDays    = 31 * 24 * time.Hour
	exportCallers = 20
)

// usageHours goes through the hours of a range, a month at a time.
func usageHours(ctx context.Context, o *operator, from, to model.Millis, email string) iter.Seq2[*usageHour, error] {
	return func(yield func(*usageHour, error) bool) {
		for ; from < to; from += model.Millis(exportDays.Milliseconds()) {
			q := api.ControlUsageQuery{From: from, To: min(to, from+model.Millis(exportDays.Milliseconds())), Email: email, Hours: true}
			for row, err := range usageRows(ctx, o, q, exportCallers) {
				if err != nil {
					yield(nil, err)
					return
				}
				for i := range row.Hours {
					h := &row.Hours[i]
					if !yield(&usageHour{h.Timestamp, row.User, row.KeyID, row.Key, row.Name, h.Counts, h.Endpoints}, nil) {
						return
					}
				}
			}
		}
	}
}

func countTexts(c *access.Counts) []string {
	var texts []string
	for _, n := range []int64{c.Requests, c.Credits, c.Errors, c.RateLimited} {
		texts = append(texts, strconv.FormatInt(n, 10))
	}
	return texts
}

// endpointText writes requests by route as "GET /api/v1/candles=3; ...".
func endpointText(endpoints map[string]int64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(endpoints)) {
		parts = append(parts, fmt.Sprintf("%s=%d", name, endpoints[name]))
	}
	return strings.Join(parts, "; ")
}
