package http

import (
	"context"

	"hyperlight/engine/model"
)

// ControlStorage is what the operator's commands about the store itself need. Its errors may be *model.Error.
type ControlStorage interface {
	// CreateBackup makes a backup under a name in the directory of backups ("" is the time), or in a directory of its own
	// where path is not "".
	CreateBackup(name, path string) (*ControlBackup, error)
	// BeginCheck makes a copy of the store that nobody writes; EndCheck removes it.
	BeginCheck() (path string, err error)
	EndCheck(path string) error
}

// ControlNewBackup are the arguments of backup/create. At most one of them may be given.
type ControlNewBackup struct {
	Name string `json:"name,omitempty"`
	Path string `json:"path,omitempty"` // absolute
}

// ControlBackup is a backup as the operator sees it.
type ControlBackup struct {
	Name        string        `json:"name"`
	Path        string        `json:"path"`
	Created     *model.Millis `json:"created_at"`
	Recorded    *model.Millis `json:"recorded_until"` // null where nothing was recorded
	Version     string        `json:"version"`
	StoreFormat int           `json:"store_format"` // 0: not known
	Bytes       int64         `json:"bytes"`
	Verified    *model.Millis `json:"verified_at"` // null: never
	State       string        `json:"state"`       // unverified, ok or damaged
}

// ControlCheck is a copy of the store that is made to be checked.
type ControlCheck struct {
	Path string `json:"path"`
}

func (c *Control) createBackup(_ context.Context, in *ControlNewBackup) (*ControlBackup, error) {
	if in.Name != "" && in.Path != "" {
		return nil, model.BadRequest("path", "give a name or a path, not both")
	}
	return c.storage.CreateBackup(in.Name, in.Path)
}

func (c *Control) beginCheck(_ context.Context, _ *struct{}) (*ControlCheck, error) {
	path, err := c.storage.BeginCheck()
	if err != nil {
		return nil, err
	}
	return &ControlCheck{Path: path}, nil
}

func (c *Control) endCheck(_ context.Context, in *ControlCheck) (*ControlCheck, error) {
	if err := c.storage.EndCheck(in.Path); err != nil {
		return nil, err
	}
	return in, nil
}
