package main

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"hyperlight/config"
	"hyperlight/engine/backup"
	"hyperlight/engine/check"
	"hyperlight/kv"
)

// restoreReport is what became of a restore.
type restoreReport struct {
	Backup string `json:"backup"`
	Store  string `json:"store"`
	State  string `json:"state"`  // restored, or waiting for the next start
	Before string `json:"before"` // where the store that was there is kept; "" where there was none
}

func (a *app) newRestoreCommand() *cobra.Command {
	var deep, yes, cancel bool
	cmd := &cobra.Command{
		Use:   "restore BACKUP",
		Short: "Put a backup in the place of the store",
		Long: "Restore copies BACKUP, a name in storage.backups, a directory, or latest, beside the store, reads all of the copy\n" +
			"as backup verify does, and then puts it in the store's place. The store that was there is kept beside it, named\n" +
			"store.before-restore-TIME: remove it once it is no longer needed. A damaged backup changes nothing (exit code 5).\n" +
			"While a server runs it goes on with its present store and takes the restored one when it is started next; what it\n" +
			"records until then is kept with the old store. --cancel takes back a restore that waits so.",
		Example: "  hyperlight restore latest --yes",
		Args:    atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			loaded, err := a.load()
			if err != nil {
				return err
			}
			switch {
			case cancel && len(args) == 0:
				return a.cancelRestore(loaded.Config)
			case cancel || len(args) == 0:
				return usagef("name a backup, or latest, or give --cancel alone")
			}
			return a.restore(cmd, loaded.Config, args[0], deep, yes)
		},
	}
	cmd.Flags().BoolVar(&deep, "deep", false, "also rebuild every book from its updates and every candle from its trades")
	cmd.Flags().BoolVar(&cancel, "cancel", false, "take back a restore that waits for the server's next start")
	addYesFlag(cmd, &yes)
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

func (a *app) restore(cmd *cobra.Command, cfg *config.Config, name string, deep, yes bool) error {
	backups, err := a.openBackups()
	if err != nil {
		return err
	}
	if name == "latest" {
		name = ""
	}
	one, err := backups.Find(name)
	if err != nil {
		return err
	}
	o := storeOptions(cfg, func(error) {})
	created := one.Created()
	if err := a.confirm(yes, "replace the store "+o.Dir+" by the backup of "+timeText(&created)); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var done kv.Restored
	found, err := a.look(deep, func(look check.Options) (found *check.Report, err error) {
		done, found, err = backups.Restore(ctx, one, o, look)
		return found, err
	})
	if errors.Is(err, backup.ErrDamaged) && found != nil {
		return a.printDamage("backup "+one.Path, newCheckReport(one.Path, deep, found), "restore another one; the store is as it was")
	}
	if err != nil {
		return err
	}
	r := restoreReport{Backup: one.Path, Store: o.Dir, State: "restored", Before: done.Before}
	if done.Waiting {
		r.State = "waiting"
	}
	err = a.print(result{header: []string{"state", "store", "before", "backup"}, rows: [][]string{{r.State, r.Store, r.Before, r.Backup}}, json: r})
	if err == nil && done.Waiting {
		a.say("the store is in use: restart the server to take the restored one, or run hyperlight restore --cancel")
	}
	return err
}

func (a *app) cancelRestore(cfg *config.Config) error {
	waited, err := kv.CancelRestore(storeOptions(cfg, func(error) {}))
	if err != nil {
		return err
	}
	if !waited {
		return failf(exitFailure, "", "no restore waits")
	}
	a.say("the restore was taken back at %s", time.Now().UTC().Format(time.RFC3339))
	return nil
}
