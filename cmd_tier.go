package main

import (
	"strconv"

	"github.com/spf13/cobra"

	api "hyperlight/http"
)

func (a *app) newTierCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "tier",
		Short:   "List the plans",
		Example: "  hyperlight tier list",
		Args:    cobra.ArbitraryArgs,
		RunE:    subcommand,
	}
	cmd.AddCommand(a.newTierListCommand())
	return cmd
}

func (a *app) newTierListCommand() *cobra.Command {
	var stream bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the plans in force, lowest first",
		Long: "List prints the plans of the running server, or those of the configuration when no server runs. To change them\n" +
			"write a plans list into the configuration, or a file of their own that access.plans_file names, and send SIGHUP.",
		Example: "  hyperlight tier list -o csv",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			view := listView[*api.ControlTier]{
				header: []string{"slug", "price_usd", "requests_per_minute", "credits_per_month", "overage_usd", "max_connections",
					"max_subscriptions", "history_depth_days", "max_range_days", "replay_window_days", "max_replay_speed"},
				cells: func(t *api.ControlTier) []string {
					return []string{
						t.Slug, textOr(t.PriceUSD, "-"), a.limitText(int64(t.RequestsPerMinute)), a.limitText(t.CreditsPerMonth), textOr(t.OverageUSD, "-"),
						a.limitText(int64(t.Connections)), a.limitText(int64(t.Subscriptions)), a.limitText(int64(t.HistoryDepthDays)),
						a.limitText(int64(t.MaxRangeDays)), a.limitText(int64(t.ReplayWindowDays)), strconv.FormatFloat(t.MaxReplaySpeed, 'f', -1, 64),
					}
				},
			}
			return a.withOperator(storeNone, func(o *operator) error {
				// Plans come whole: there are at most a hundred.
				return printList(a, view, stream, listRows[*api.ControlTier](cmd.Context(), o, "tier/list", "", controlPage,
					func(api.ControlPage) any { return struct{}{} }))
			})
		},
	}
	addStreamFlag(cmd, &stream)
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

func textOr(s *string, none string) string {
	if s == nil {
		return none
	}
	return *s
}
