package main

import (
	"runtime"
	"runtime/debug"
	"strconv"

	"github.com/spf13/cobra"

	"hyperlight/kv"
)

// version is the released version; the build overrides it with -ldflags "-X main.version=...".
var version = "0.1.0"

// buildInfo describes the program that runs.
type buildInfo struct {
	Version     string `json:"version"`
	Commit      string `json:"commit"`
	CommitTime  string `json:"commit_time"`
	Modified    bool   `json:"modified"` // built from a tree with changes
	Go          string `json:"go"`
	Platform    string `json:"platform"`
	StoreFormat int    `json:"store_format"`
}

func readBuildInfo() buildInfo {
	b := buildInfo{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, StoreFormat: kv.Format}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.CommitTime = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func (a *app) newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version, the commit and the store format",
		Example: "  hyperlight version -o json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			b := readBuildInfo()
			commit := b.Commit
			if b.Modified {
				commit += " with changes"
			}
			return a.print(result{
				header: []string{"what", "value"},
				rows: [][]string{
					{"version", b.Version}, {"commit", commit}, {"commit time", b.CommitTime}, {"go", b.Go},
					{"platform", b.Platform}, {"store format", strconv.Itoa(b.StoreFormat)},
				},
				json: b,
			})
		},
	}
}
