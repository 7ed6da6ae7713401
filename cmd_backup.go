package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/spf13/cobra"

	"hyperlight/engine/backup"
	"hyperlight/engine/check"
	api "hyperlight/http"
)

// copyTimeout bounds waiting for a server that copies its store to another disk.
const copyTimeout = 24 * time.Hour

func (a *app) newBackupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Make, list and verify backups of the store",
		Long: "A backup is a copy of the store as it was at one moment: every recorded row, users, keys and usage. It is made\n" +
			"while the server runs, of hard links where it lies on the store's disk. The key file in storage.dir is not part\n" +
			"of it: keep a copy of that file apart from the backups.",
		Example: "  hyperlight backup list",
		Args:    cobra.ArbitraryArgs,
		RunE:    subcommand,
	}
	cmd.AddCommand(a.newBackupCreateCommand(), a.newBackupListCommand(), a.newBackupVerifyCommand())
	return cmd
}

var backupView = listView[*api.ControlBackup]{
	header: []string{"name", "created", "recorded_until", "bytes", "version", "state", "verified", "path"},
	cells: func(b *api.ControlBackup) []string {
		return []string{b.Name, timeText(b.Created), timeText(b.Recorded), strconv.FormatInt(b.Bytes, 10), b.Version, b.State, timeText(b.Verified), b.Path}
	},
}

func (a *app) newBackupCreateCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "create [DIR]",
		Short: "Make a backup",
		Long: "Create makes a backup in storage.backups, under --name or the present time, or in the directory DIR, which must\n" +
			"not exist. A running server makes it, without a pause; where none runs this command opens the store itself.\n" +
			"A backup appears whole, or not at all. With storage.keep_backups the oldest in storage.backups are removed.",
		Example: "  hyperlight backup create --name before-upgrade",
		Args:    atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			in := api.ControlNewBackup{Name: name}
			if len(args) == 1 {
				if name != "" {
					return usagef("give a directory or --name, not both")
				}
				var err error
				if in.Path, err = filepath.Abs(args[0]); err != nil {
					return fmt.Errorf("find %s: %w", args[0], err)
				}
			}
			ctx, stop := context.WithTimeout(cmd.Context(), copyTimeout)
			defer stop()
			return a.withOperator(storeThere, func(o *operator) error {
				var made api.ControlBackup
				if err := o.run(ctx, "backup/create", "", in, &made); err != nil {
					return err
				}
				if err := a.print(result{header: backupView.header, rows: [][]string{backupView.cells(&made)}, json: &made}); err != nil {
					return err
				}
				a.say("the key file of storage.dir is not part of a backup: keep a copy of it apart")
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "`NAME` of the backup in storage.backups; else the present time")
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

func (a *app) newBackupListCommand() *cobra.Command {
	var stream bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the backups in storage.backups, oldest first",
		Long: "List shows the backups in storage.backups and what backup verify last found of each. Those named before-format-N\n" +
			"were taken by themselves before a newer version changed the store's format.",
		Example: "  hyperlight backup list -o json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			backups, err := a.openBackups()
			if err != nil {
				return err
			}
			all, err := backups.List()
			if err != nil {
				return err
			}
			return printList(a, backupView, stream, func(yield func(*api.ControlBackup, error) bool) {
				for i := range all {
					if !yield(backupRow(&all[i]), nil) {
						return
					}
				}
			})
		},
	}
	addStreamFlag(cmd, &stream)
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

// openBackups returns the backups as their files tell; no store is opened.
func (a *app) openBackups() (*backup.Backups, error) {
	loaded, err := a.load()
	if err != nil {
		return nil, err
	}
	return newBackups(loaded.Config, nil, slog.New(slog.DiscardHandler))
}

func (a *app) newBackupVerifyCommand() *cobra.Command {
	var deep bool
	cmd := &cobra.Command{
		Use:   "verify [BACKUP]",
		Short: "Read a whole backup and look for damage",
		Long: "Verify compares the files of BACKUP, a name in storage.backups or a directory, or the newest where none is named,\n" +
			"with what was copied, reads every block with its checksum, decodes every row and compares rows with indexes.\n" +
			"Nothing of the backup changes; what was found is noted beside it, and told by backup list and /metrics. It ends\n" +
			"with 5 when something is damaged. It needs no server and does not disturb one.",
		Example: "  hyperlight backup verify --deep",
		Args:    atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			backups, err := a.openBackups()
			if err != nil {
				return err
			}
			one, err := backups.Find(slices.Concat(args, []string{""})[0])
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			found, err := a.look(deep, func(o check.Options) (*check.Report, error) { return backups.Verify(ctx, one, o) })
			if err != nil {
				return err
			}
			return a.printDamage("backup "+one.Path, newCheckReport(one.Path, deep, found), "make another backup, and restore none that is damaged")
		},
	}
	cmd.Flags().BoolVar(&deep, "deep", false, "also rebuild every book from its updates and every candle from its trades")
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

// look runs a check with a progress bar.
func (a *app) look(deep bool, run func(check.Options) (*check.Report, error)) (*check.Report, error) {
	bar := a.newProgressBar(progress.UnitsBytes)
	found, err := run(check.Options{Deep: deep, Progress: bar.show})
	bar.finish(err == nil)
	if errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	return found, err
}
