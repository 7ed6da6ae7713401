package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// replayOptions are the flags of `replay run`.
type replayOptions struct {
	From, To string
	Markets  []int64
	Speed    string
	Format   string
	Include  []string
	Out      string // "" is standard output
	Listen   string // "" plays to Out
}

func (a *app) newReplayCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "replay",
		Short:   "Play the record without a server",
		Long:    "Replay reads the store by itself. No server may run on it.",
		Example: "  hyperlight replay run --from 2025-10-09 --to 2025-10-10 --markets 0 --out day.ndjson",
		Args:    cobra.ArbitraryArgs, // so that subcommand refuses an unknown name
		RunE:    subcommand,
	}
	cmd.AddCommand(a.newReplayRunCommand())
	return cmd
}

func (a *app) newReplayRunCommand() *cobra.Command {
	o := replayOptions{}
	cmd := &cobra.Command{
		Use:   "run --from TIME [--to TIME] [--markets ID,...]",
		Short: "Write a range of the record as /ws/replay sends it, or serve it on a port",
		Long: "Run writes the messages of a replay, one a line, to standard output or to a file: replay_started, the events\n" +
			"in the chosen format, replay_complete. Times are RFC 3339, a date, or unix milliseconds.\n\n" +
			"With --listen it serves /replay/stream, /ws/replay and /replay/api/v1 on that address instead, and nothing else,\n" +
			"until it gets SIGINT or SIGTERM; clients then choose range and pace themselves.\n\n" +
			"No server may run on the store. It ends with 1 when nothing is recorded in the range, and with 0 when whoever\n" +
			"reads standard output has had enough.",
		Example: "  hyperlight replay run --from 2025-10-09T08:00:00Z --to 2025-10-09T09:00:00Z --markets 0 --format live --out hour.ndjson",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.Listen != "" && (o.From != "" || o.To != "" || o.Out != "" || len(o.Markets) > 0):
				return usagef("%w", errors.New("--listen serves the whole store: clients name range and markets"))
			case o.Listen == "" && o.From == "":
				return usagef("%w", errors.New("--from is required, or --listen"))
			case a.output != "table":
				return usagef("%w", errors.New("--output does not apply: a replay writes JSON lines"))
			}
			loaded, err := a.load()
			if err != nil {
				return err
			}
			loaded.Config.Venues.Lighter.Enabled = false // the past needs no venue
			if o.Listen != "" {
				return a.serveReplay(cmd.Context(), loaded.Config, o.Listen)
			}
			return a.writeReplay(cmd.Context(), loaded.Config, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.From, "from", "", "`TIME` to begin at")
	f.StringVar(&o.To, "to", "", "`TIME` to end before; else now")
	f.Int64SliceVar(&o.Markets, "markets", nil, "market `IDS` with commas; else all")
	f.StringVar(&o.Speed, "speed", "max", "times the original pace, or max")
	f.StringVar(&o.Format, "format", "event", "form of the events: event, live or native")
	f.StringSliceVar(&o.Include, "include", nil, "kinds of `EVENTS` with commas, as in a replay message")
	f.StringVar(&o.Out, "out", "", "`FILE` to write to; else standard output")
	f.StringVar(&o.Listen, "listen", "", "`ADDRESS` to serve replays on instead; port 0 picks a free one")
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}
