package main

import (
	"io/fs"
	"math"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// limitMemory tells the garbage collector to stay below 85 % of the cgroup's
// limit, unless GOMEMLIMIT gives one: a process that learns of its limit only
// from the kernel is killed instead of collecting. root is the file system's root.
func limitMemory(root fs.FS, given string) (limit int64, ok bool) {
	if given != "" {
		return 0, false
	}
	cgroup, ok := cgroupLimit(root)
	if !ok {
		return 0, false
	}
	limit = cgroup / 100 * 85
	debug.SetMemoryLimit(limit)
	return limit, true
}

// noLimit is what version 1 of cgroups writes for none, rounded down to pages.
const noLimit = math.MaxInt64 / 4096 * 4096

// cgroupLimit returns the smallest memory limit on the way from our cgroup to the top.
func cgroupLimit(root fs.FS) (int64, bool) {
	least := int64(noLimit)
	for _, dir := range cgroupDirs(root) {
		for _, name := range []string{"memory.max", "memory.limit_in_bytes"} {
			b, err := fs.ReadFile(root, path.Join(dir, name))
			if err != nil {
				continue
			}
			if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 {
				least = min(least, n)
			}
		}
	}
	return least, least < noLimit
}

// cgroupDirs lists the directories of our cgroup and those above it. Inside a
// container the path that the kernel names is often not there, its root is.
func cgroupDirs(root fs.FS) []string {
	const v2, v1 = "sys/fs/cgroup", "sys/fs/cgroup/memory"
	dirs := []string{v2, v1}
	b, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return dirs
	}
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		base := v1
		if parts[1] == "" {
			base = v2
		} else if parts[1] != "memory" {
			continue
		}
		for p := path.Clean("/" + parts[2]); p != "/"; p = path.Dir(p) {
			dirs = append(dirs, path.Join(base, p))
		}
	}
	return dirs
}
