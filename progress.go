package main

import (
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"

	"hyperlight/engine"
)

// progressBar shows how far a long job is, on a terminal only. Its methods may
// be called on the zero value, which shows nothing.
type progressBar struct {
	writer  progress.Writer
	tracker *progress.Tracker
	ended   sync.WaitGroup
}

// newProgressBar returns a bar on standard error, or one that shows nothing.
func (a *app) newProgressBar(units progress.Units) *progressBar {
	if a.quiet || !isTerminal(a.stderr) {
		return &progressBar{}
	}
	return startProgressBar(a.stderr, units, !a.noColor)
}

func startProgressBar(w io.Writer, units progress.Units, colors bool) *progressBar {
	b := &progressBar{writer: progress.NewWriter(), tracker: &progress.Tracker{Units: units}}
	b.writer.SetOutputWriter(w)
	b.writer.SetUpdateFrequency(200 * time.Millisecond)
	b.writer.SetTrackerLength(30)
	b.writer.SetMessageLength(32)
	if colors {
		b.writer.SetStyle(progress.StyleBlocks)
	}
	b.writer.Style().Visibility.ETA = true
	b.writer.Style().Visibility.Speed = true
	b.writer.AppendTracker(b.tracker)
	b.ended.Go(b.writer.Render)
	return b
}

func (b *progressBar) update(p engine.ImportProgress) {
	if b.tracker == nil {
		return
	}
	b.tracker.UpdateTotal(p.Total)
	b.tracker.SetValue(min(p.Done, p.Total-1)) // at the total the bar would end itself
	b.tracker.UpdateMessage(filepath.Base(p.File))
}

// show is update for work that is counted in bytes of one thing.
func (b *progressBar) show(what string, done, total int64) {
	if b.tracker == nil {
		return
	}
	b.tracker.UpdateTotal(total)
	b.tracker.SetValue(max(min(done, total-1), 0))
	b.tracker.UpdateMessage(what)
}

// finish ends the bar and waits for its last line.
func (b *progressBar) finish(ok bool) {
	if b.tracker == nil {
		return
	}
	if ok {
		b.tracker.MarkAsDone()
	} else {
		b.tracker.MarkAsErrored()
	}
	for !b.writer.IsRenderInProgress() {
		time.Sleep(time.Millisecond)
	}
	b.writer.Stop()
	b.ended.Wait()
}
