package main

import (
	"github.com/spf13/cobra"

	api "hyperlight/http"
)

func (a *app) newLakeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lake",
		Short: "List and verify the data lake's files, write rows of any range",
		Long: "The data lake is a directory of Parquet files, one of each dataset, market and UTC day, which are made by themselves\n" +
			"at ten past midnight UTC, or by export-now.",
		Example: "  hyperlight lake list",
		Args:    cobra.ArbitraryArgs,
		RunE:    subcommand,
	}
	cmd.AddCommand(a.newLakeListCommand(), a.newLakeVerifyCommand(), a.newLakeExportCommand())
	return cmd
}

func (a *app) newLakeListCommand() *cobra.Command {
	var q api.ControlLakeQuery
	var days rangeFlags
	var market int64
	var stream bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the files, oldest day first",
		Example: "  hyperlight lake list --dataset trades --from 2025-10-09 -o json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if q.From, q.To, err = days.span(); err != nil {
				return err
			}
			if market >= 0 {
				q.Market = &market
			}
			return a.withOperator(storeThere, func(o *operator) error {
				return printList(a, lakeView, stream, listRows[*api.ControlLakeFile](cmd.Context(), o, "lake/list", "", controlPage,
					func(p api.ControlPage) any {
						q.ControlPage = p
						return q
					}))
			})
		},
	}
	cmd.Flags().StringVar(&q.Dataset, "dataset", "", "one `DATASET`; else all")
	cmd.Flags().Int64Var(&market, "market", -1, "`ID` of one market; else all")
	days.flags(cmd)
	addStreamFlag(cmd, &stream)
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

func (a *app) newLakeVerifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read every file of the lake and look for damage",
		Long: "Verify compares the size and the SHA-256 of each listed file with the list, and reads its rows: they must be in order\n" +
			"and as many as are listed. It changes nothing, and ends with 5 when a file is damaged or gone; export-now makes such\n" +
			"files again, as far as their rows are still recorded.",
		Example: "  hyperlight lake verify",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withOperator(storeThere, func(o *operator) error {
				found, err := a.lakeRun(cmd.Context(), o, "lake/verify", &struct{}{})
				if err != nil {
					return err
				}
				return a.printVerified(found)
			})
		},
	}
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

// verified is what lake verify prints as JSON.
type verified struct {
	Checked int                     `json:"checked"`
	Rows    int64                   `json:"rows"`
	Bytes   int64                   `json:"size_bytes"`
	Damage  []*api.ControlLakeFault `json:"damage"`
}

func (a *app) printVerified(run *api.ControlLakeRun) error {
	r := &verified{Checked: run.Checked, Rows: run.Rows, Bytes: run.Bytes, Damage: append([]*api.ControlLakeFault{}, run.Failed...)}
	out := result{header: []string{"export_id", "key", "problem"}, json: r}
	for _, f := range r.Damage {
		out.rows = append(out.rows, []string{f.ID, f.Key, f.Error})
	}
	if len(out.rows) > 0 || a.output != "table" {
		if err := a.print(out); err != nil {
			return err
		}
	}
	if n := len(r.Damage); n > 0 {
		return failf(exitDamage, "hyperlight export-now makes files again whose rows are still recorded", "%s of %d damaged", countOf(n, "file"), r.Checked)
	}
	a.say("%s sound: %d rows, %d bytes", countOf(r.Checked, "file"), r.Rows, r.Bytes)
	return nil
}
