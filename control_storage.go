package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hyperlight/config"
	"hyperlight/engine/backup"
	"hyperlight/engine/model"
	api "hyperlight/http"
	"hyperlight/kv"
)

// storeControl answers the operator's commands about the store itself, in the server that holds it or in a command that
// stands in for one.
type storeControl struct {
	store    *kv.Store
	backups  *backup.Backups
	checking string // directory of the copies that are made to be checked
}

// newBackups returns the backups of an installation; without a store none can be made.
func newBackups(cfg *config.Config, store *kv.Store, log *slog.Logger) (*backup.Backups, error) {
	dir, err := filepath.Abs(cfg.BackupsDir())
	if err != nil {
		return nil, fmt.Errorf("find storage.backups: %w", err)
	}
	return backup.New(backup.Options{
		Dir: dir, Store: store, Keep: cfg.Storage.KeepBackups, Version: version, Logger: log.With("component", "backup"),
	}), nil
}

// newStoreControl also removes copies of checks that were cut off. The caller holds the store.
func newStoreControl(cfg *config.Config, store *kv.Store, log *slog.Logger) (*storeControl, error) {
	backups, err := newBackups(cfg, store, log)
	if err != nil {
		return nil, err
	}
	checking, err := filepath.Abs(filepath.Join(cfg.Storage.Dir, "checking"))
	if err != nil {
		return nil, fmt.Errorf("find storage.dir: %w", err)
	}
	if err := os.RemoveAll(checking); err != nil {
		return nil, fmt.Errorf("remove copies of earlier checks: %w", err)
	}
	return &storeControl{store: store, backups: backups, checking: checking}, nil
}

// CreateBackup implements api.ControlStorage.
func (c *storeControl) CreateBackup(name, path string) (*api.ControlBackup, error) {
	if path != "" && !filepath.IsAbs(path) {
		return nil, model.BadRequest("path", "path must be absolute")
	}
	one, err := c.backups.Create(name, path)
	switch {
	case errors.Is(err, kv.ErrExists):
		return nil, &model.Error{Code: model.CodeConflict, Message: "there is something of that name already, choose another one", Err: err}
	case errors.Is(err, backup.ErrName):
		return nil, model.BadRequest("name", backup.ErrName.Error())
	case err != nil:
		return nil, &model.Error{Code: model.CodeInternal, Message: "no backup was made", Err: err}
	}
	return backupRow(one), nil
}

// BeginCheck implements api.ControlStorage.
func (c *storeControl) BeginCheck() (string, error) {
	if err := os.MkdirAll(c.checking, 0o700); err != nil {
		return "", &model.Error{Code: model.CodeInternal, Message: "no copy to check could be made", Err: err}
	}
	path := filepath.Join(c.checking, time.Now().UTC().Format("20060102T150405.000000000"))
	if err := c.store.Checkpoint(path); err != nil {
		return "", &model.Error{Code: model.CodeInternal, Message: "no copy to check could be made", Err: err}
	}
	return path, nil
}

// EndCheck implements api.ControlStorage.
func (c *storeControl) EndCheck(path string) error {
	if path != filepath.Clean(path) || filepath.Dir(path) != c.checking { // not checking/.. either
		return model.BadRequest("path", "path is no copy that was made to be checked")
	}
	if err := os.RemoveAll(path); err != nil {
		return &model.Error{Code: model.CodeInternal, Message: "the copy cannot be removed", Err: err}
	}
	return nil
}

// backupRow shows a backup to the operator.
func backupRow(one *backup.Backup) *api.ControlBackup {
	moment := func(t model.Millis) *model.Millis {
		if t == 0 {
			return nil
		}
		return &t
	}
	row := &api.ControlBackup{Name: one.Name, Path: one.Path, Created: moment(one.Created()), State: "unverified"}
	if m := one.Manifest; m != nil {
		row.Recorded, row.Version, row.StoreFormat, row.Bytes = moment(m.Recorded), m.Version, m.StoreFormat, m.Bytes
	}
	if v := one.Verified; v != nil {
		row.Verified, row.State = moment(v.At), "ok"
		if !v.OK {
			row.State = "damaged"
		}
	}
	if errors.Is(one.Fault, backup.ErrDamaged) {
		row.State = "damaged"
	}
	return row
}

// damageRows shows damage in the columns of check and backup verify.
func damageRows(found []damage) (rows [][]string) {
	for _, d := range found {
		rows = append(rows, []string{d.File, strings.Join(d.Families, " "), d.Key, d.Problem})
	}
	return rows
}
