//go:build unix

package main

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

// diskSpace returns the free and total bytes of the disk that holds dir, which need not exist yet.
func diskSpace(dir string) (free, total uint64, ok bool) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return 0, 0, false
	}
	var s unix.Statfs_t
	for unix.Statfs(dir, &s) != nil {
		parent := filepath.Dir(dir)
		if parent == dir {
			return 0, 0, false
		}
		dir = parent
	}
	unit := uint64(s.Bsize)
	return s.Bavail * unit, s.Blocks * unit, true
}
