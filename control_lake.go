package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"hyperlight/engine/lake"
	"hyperlight/engine/model"
	"hyperlight/export"
	api "hyperlight/http"
)

// lakeControl answers the operator's commands about the data lake, in the server that holds the store or in a command that stands
// in for one. It does one long work at a time, beside the files that the server makes by itself.
type lakeControl struct {
	open   func() (*openedLake, error) // called before the first command, once
	ctx    context.Context
	cancel context.CancelFunc
	runs   sync.WaitGroup

	mu   sync.Mutex
	last *lakeRun // nil: none was begun
}

// lakeRun is a long work.
type lakeRun struct {
	id     string
	cancel context.CancelFunc

	mu  sync.Mutex
	now api.ControlLakeRun
}

// newLakeControl returns the commands. The caller ends what they began with stop.
func newLakeControl(open func() (*openedLake, error)) *lakeControl {
	c := &lakeControl{open: sync.OnceValues(open)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// stop ends a run that is at work and waits for its end.
func (c *lakeControl) stop() {
	c.cancel()
	c.runs.Wait()
}

// Files implements api.ControlLake.
func (c *lakeControl) Files() (api.LakeManifest, error) {
	l, err := c.open()
	if err != nil {
		return nil, &model.Error{Code: model.CodeInternal, Message: "the data lake cannot be opened", Err: err}
	}
	return l.manifest, nil
}

var errRunning = &model.Error{Code: model.CodeConflict, Message: "files of the lake are made or verified already, wait until that has ended"}

// begin starts a work, if none is at work.
func (c *lakeControl) begin(work func(context.Context, *openedLake, *lakeRun) error) (string, error) {
	if _, err := c.Files(); err != nil {
		return "", err
	}
	l, _ := c.open()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nil && !c.last.state().Ended {
		return "", errRunning
	}
	ctx, cancel := context.WithCancel(c.ctx)
	r := &lakeRun{id: uuid.NewString(), cancel: cancel}
	c.last = r
	c.runs.Go(func() {
		defer cancel()
		err := work(ctx, l, r)
		r.change(func(now *api.ControlLakeRun) {
			now.Ended, now.Current = true, ""
			if err != nil {
				now.Error = err.Error()
			}
		})
	})
	return r.id, nil
}

func (r *lakeRun) change(f func(*api.ControlLakeRun)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.now)
}

// state returns a copy. Its report is given away only when nobody adds to it any more.
func (r *lakeRun) state() *api.ControlLakeRun {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.now
	if !out.Ended {
		out.ControlLakeReport = api.ControlLakeReport{Rows: out.Rows, Bytes: out.Bytes}
	}
	return &out
}

func (c *lakeControl) find(run string) (*lakeRun, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil || c.last.id != run {
		return nil, model.NotFound("no such run, a later one has begun or the server was started again")
	}
	return c.last, nil
}

// Progress implements api.ControlLake.
func (c *lakeControl) Progress(run string) (*api.ControlLakeRun, error) {
	r, err := c.find(run)
	if err != nil {
		return nil, err
	}
	return r.state(), nil
}

// Stop implements api.ControlLake.
func (c *lakeControl) Stop(run string) error {
	r, err := c.find(run)
	if err != nil {
		return err
	}
	r.cancel()
	return nil
}

// Make implements api.ControlLake.
func (c *lakeControl) Make(in api.ControlLakeMake) (string, error) {
	request := export.MakeRequest{Markets: in.Markets, From: in.From, To: in.To, Force: in.Force}
	for _, name := range in.Datasets {
		request.Datasets = append(request.Datasets, lake.Dataset(name))
	}
	return c.begin(func(ctx context.Context, l *openedLake, r *lakeRun) error {
		report, err := l.Make(ctx, request, func(p export.Progress) {
			r.change(func(now *api.ControlLakeRun) {
				now.Done, now.Total, now.Rows, now.Bytes, now.Current = int64(p.Done), int64(p.Total), p.Rows, p.Bytes, ""
				if p.Current.Dataset != "" {
					now.Current = p.Current.String()
				}
			})
		})
		r.change(func(now *api.ControlLakeRun) {
			now.ControlLakeReport = api.ControlLakeReport{Unchanged: report.Unchanged, Empty: report.Empty, Rows: report.Rows, Bytes: report.Bytes}
			for i := range report.Made {
				now.Made = append(now.Made, api.NewControlLakeFile(&report.Made[i]))
			}
			for _, id := range report.Removed {
				now.Removed = append(now.Removed, id.String())
			}
			for _, f := range report.Failed {
				now.Failed = append(now.Failed, lakeFault(f.ID, f.Err))
			}
		})
		return err
	})
}

func lakeFault(id lake.ID, err error) *api.ControlLakeFault {
	return &api.ControlLakeFault{ID: id.String(), Key: id.Key(), Error: err.Error()}
}

// Verify implements api.ControlLake.
func (c *lakeControl) Verify() (string, error) {
	return c.begin(func(ctx context.Context, l *openedLake, r *lakeRun) error {
		r.change(func(now *api.ControlLakeRun) { now.Total = int64(len(l.manifest.All())) })
		return l.Verify(ctx, func(f lake.File, err error) error {
			r.change(func(now *api.ControlLakeRun) {
				now.Done++
				now.Checked++
				now.Rows += f.Rows
				now.Bytes += f.Bytes
				now.Current = f.ID.String()
				if err != nil {
					now.Failed = append(now.Failed, lakeFault(f.ID, err))
				}
			})
			return nil
		})
	})
}

// openLocalLake returns the commands of a store that no server holds, and what ends them.
func openLocalLake(open func() (*openedLake, error)) (c *lakeControl, end func()) {
	var opened *openedLake
	c = newLakeControl(func() (*openedLake, error) {
		l, err := open()
		if err != nil {
			return nil, fmt.Errorf("open data lake: %w", err)
		}
		opened = l
		return l, nil
	})
	return c, func() {
		c.stop()
		if opened != nil {
			opened.close()
		}
	}
}
