package lighter

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"hyperlight/engine/model"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden decodes the hand-made frames of testdata/lighter and compares the events, member by member, with the
// golden file beside them.
func TestGolden(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "testdata", "lighter")
	frames, err := os.ReadFile(filepath.Join(dir, "frames.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	known := newMarkets()
	known.learn = true
	d := NewDecoder(known)
	var got bytes.Buffer
	for _, frame := range bytes.Split(bytes.TrimSpace(frames), []byte("\n")) {
		err := d.Decode(frame, 1785358812600000, func(e *model.Event) error {
			b, err := json.Marshal(e.Payload)
			fmt.Fprintf(&got, "market %d epoch %d time %d %T %s\n", e.Market, e.Epoch, e.Time, e.Payload, b)
			return err
		})
		f := d.Last()
		fmt.Fprintf(&got, "%v channel %v first %v code %d %q error %v\n", f.Kind, f.Channel, f.First, f.Code, f.Text, err)
	}
	golden := filepath.Join(dir, "frames.golden")
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("events differ from %s (rewrite with -update, then read the difference):\n%s", golden, got.Bytes())
	}
}
