package http

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"hyperlight/engine/lake"
	"hyperlight/engine/model"
)

// ControlLake is what the operator's commands about the data lake need. Long work is begun, and looked after by its id. Its errors
// may be *model.Error.
type ControlLake interface {
	// Files is the list of the files.
	Files() (LakeManifest, error)
	// Make begins to make files; Verify begins to read each of them. A conflict where one of the two is at work.
	Make(ControlLakeMake) (run string, err error)
	Verify() (run string, err error)
	// Progress tells how far a run is, and after its end what it did. not_found for another than the last one.
	Progress(run string) (*ControlLakeRun, error)
	// Stop asks a run to end.
	Stop(run string) error
}

// ControlLakeQuery are the arguments of lake/list.
type ControlLakeQuery struct {
	Dataset string       `json:"dataset,omitempty"`   // "": all
	Market  *int64       `json:"market_id,omitempty"` // null: all, and files of all markets
	From    model.Millis `json:"from,omitempty"`      // files whose day overlaps from <= t < to; 0 is open
	To      model.Millis `json:"to,omitempty"`
	ControlPage
}

// ControlLakeFile is a file of the lake as the operator sees it.
type ControlLakeFile struct {
	ID      string        `json:"export_id"`
	Dataset string        `json:"dataset"`
	Market  *int64        `json:"market_id"` // null: of all markets
	Symbol  string        `json:"symbol"`
	Date    string        `json:"date"`
	Rows    int64         `json:"rows"`
	Bytes   int64         `json:"size_bytes"`
	SHA256  string        `json:"sha256"`
	Schema  int           `json:"schema_version"`
	Created *model.Millis `json:"created_at"`
	Remote  bool          `json:"remote"` // the object store has it too
	Key     string        `json:"key"`    // path below the lake's directory
}

// NewControlLakeFile shows a file to the operator.
func NewControlLakeFile(f *lake.File) *ControlLakeFile {
	out := &ControlLakeFile{
		ID: f.ID.String(), Dataset: string(f.ID.Dataset), Symbol: f.Symbol, Date: f.ID.Date(), Rows: f.Rows, Bytes: f.Bytes,
		SHA256: hex.EncodeToString(f.SHA256[:]), Schema: f.SchemaVersion, Created: millisOrNull(f.Created), Remote: f.Remote, Key: f.ID.Key(),
	}
	if f.ID.Market != lake.AllMarkets {
		out.Market = &f.ID.Market
	}
	return out
}

// ControlLakeMake are the arguments of lake/make: what is missing or has changed of the days that overlap from <= t < to.
type ControlLakeMake struct {
	Datasets []string     `json:"datasets,omitempty"` // none: all
	Markets  []int64      `json:"markets,omitempty"`  // none: all
	From     model.Millis `json:"from,omitempty"`
	To       model.Millis `json:"to,omitempty"`
	Force    bool         `json:"force,omitempty"` // also what has not changed
}

// ControlLakeID names a run.
type ControlLakeID struct {
	Run string `json:"run"`
}

// ControlLakeRun is how far a run is. What it did is there when it has ended.
type ControlLakeRun struct {
	Ended   bool   `json:"ended"`
	Done    int64  `json:"done"` // files
	Total   int64  `json:"total"`
	Current string `json:"current,omitempty"` // id of the file at work
	// Error is why the run ended before its end.
	Error string `json:"error,omitempty"`
	ControlLakeReport
}

// ControlLakeReport is what a run did.
type ControlLakeReport struct {
	Made      []*ControlLakeFile  `json:"made,omitempty"`
	Removed   []string            `json:"removed,omitempty"`
	Failed    []*ControlLakeFault `json:"failed,omitempty"` // not made, or damaged
	Checked   int                 `json:"checked"`
	Unchanged int                 `json:"unchanged"`
	Empty     int                 `json:"empty"` // without rows, so without a file
	Rows      int64               `json:"rows"`
	Bytes     int64               `json:"size_bytes"`
}

// ControlLakeFault is what is wrong with a file.
type ControlLakeFault struct {
	ID    string `json:"export_id"`
	Key   string `json:"key"`
	Error string `json:"error"`
}

func (c *Control) listLake(_ context.Context, in *ControlLakeQuery) (*ControlList[*ControlLakeFile], error) {
	limit, offset, err := in.window()
	if err != nil {
		return nil, err
	}
	q := lake.Query{Market: in.Market, From: in.From, To: in.To, Limit: limit, Offset: offset, Ascending: true}
	if in.Dataset != "" {
		if q.Dataset, err = controlDataset(in.Dataset); err != nil {
			return nil, err
		}
	}
	files, err := c.lake.Files()
	if err != nil {
		return nil, err
	}
	rows, total := files.List(q)
	out := &ControlList[*ControlLakeFile]{Rows: make([]*ControlLakeFile, len(rows)), Total: total}
	for i := range rows {
		out.Rows[i] = NewControlLakeFile(&rows[i])
	}
	return out, nil
}

func controlDataset(text string) (lake.Dataset, error) {
	d, ok := lake.ParseDataset(text)
	if !ok {
		words := strings.Trim(fmt.Sprint(lake.Datasets), "[]")
		return "", model.BadRequest("dataset", "dataset must be one of "+strings.ReplaceAll(words, " ", ", "))
	}
	return d, nil
}

func (c *Control) makeLake(_ context.Context, in *ControlLakeMake) (*ControlLakeID, error) {
	for _, text := range in.Datasets {
		if _, err := controlDataset(text); err != nil {
			return nil, err
		}
	}
	run, err := c.lake.Make(*in)
	return &ControlLakeID{run}, err
}

func (c *Control) verifyLake(_ context.Context, _ *struct{}) (*ControlLakeID, error) {
	run, err := c.lake.Verify()
	return &ControlLakeID{run}, err
}

func (c *Control) lakeProgress(_ context.Context, in *ControlLakeID) (*ControlLakeRun, error) {
	return c.lake.Progress(in.Run)
}

func (c *Control) stopLake(_ context.Context, in *ControlLakeID) (*ControlLakeID, error) {
	return in, c.lake.Stop(in.Run)
}
