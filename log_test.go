package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"hyperlight/config"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// logLines decodes what a JSON log has written.
func logLines(t *testing.T, b *syncBuffer) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for line := range strings.Lines(b.String()) {
		m := map[string]any{}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		lines = append(lines, m)
	}
	b.Reset()
	return lines
}

func TestLogForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b syncBuffer
		log := newLogger(&b, "json", slog.LevelInfo)
		log.Debug("unseen")
		log.With("component", "feed").Info("connected", "time_taken", 5, slog.Group("g", "level", "inner"))
		want := `{"time":"2000-01-01T00:00:00.000Z","level":"info","msg":"connected","component":"feed","time_taken":5,"g":{"level":"inner"}}` + "\n"
		if b.String() != want {
			t.Errorf("got %s", b.String())
		}
		b.Reset()
		newLogger(&b, "text", slog.LevelInfo).Warn("odd")
		if b.String() != "time=2000-01-01T00:00:00.000Z level=warn msg=odd\n" {
			t.Errorf("got %s", b.String())
		}
	})
}

// What names itself is told by its name in both forms, and what has a form of its own keeps it.
func TestLogTellsNames(t *testing.T) {
	for form, want := range map[string]string{
		"json": `"kind":"trade","cause":"stale","error":"no \"row\"","price":"1.5","g":{"kind":"funding"}}`,
		"text": `kind=trade cause=stale error="no \"row\"" price=1.5 g.kind=funding`,
	} {
		var b syncBuffer
		newLogger(&b, form, slog.LevelInfo).Info("told", "kind", model.KindTrades, "cause", model.CauseStale,
			"error", errors.New(`no "row"`), "price", num.Decimal{Mant: 15, Scale: 1}, slog.Group("g", "kind", model.KindFunding))
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s: got %s", form, b.String())
		}
	}
}

func TestRepeatsAreFolded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b syncBuffer
		log := newLogger(&b, "json", slog.LevelInfo)
		feed := log.With("component", "feed")
		for i := range 100 {
			feed.Warn("frame dropped", "i", i)
			time.Sleep(1300 * time.Millisecond)
		}
		log.Warn("frame dropped") // another component
		synctest.Wait()           // a timer of the fold may write at this very moment
		lines := logLines(t, &b)
		if len(lines) != 4 || lines[0]["i"] != 0.0 || lines[0]["repeated"] != nil || lines[3]["component"] != nil ||
			lines[1]["repeated"] != 46.0 || lines[1]["i"] != 46.0 || lines[2]["repeated"] != 46.0 || lines[2]["i"] != 92.0 {
			t.Fatalf("got %v", lines)
		}
		time.Sleep(time.Minute) // what came last is not lost
		synctest.Wait()
		if lines = logLines(t, &b); len(lines) != 1 || lines[0]["repeated"] != 7.0 || lines[0]["i"] != 99.0 {
			t.Fatalf("got %v", lines)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		feed.Warn("frame dropped", "i", 100)
		if lines = logLines(t, &b); len(lines) != 1 || lines[0]["repeated"] != nil {
			t.Fatalf("after a quiet time: %v", lines)
		}
	})
}

func TestInfoIsNeverFolded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b syncBuffer
		log := newLogger(&b, "json", slog.LevelInfo)
		for range 10 {
			log.Info("request")
		}
		if n := len(logLines(t, &b)); n != 10 {
			t.Errorf("%d of 10 lines", n)
		}
	})
}

func TestFoldingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b syncBuffer
		h := newFoldHandler(slog.NewJSONHandler(&b, nil), time.Minute)
		for i := range 2 * maxFolded {
			r := slog.NewRecord(time.Now(), slog.LevelError, fmt.Sprint("message ", i), 0)
			if err := h.Handle(context.Background(), r); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(h.(*foldHandler).shared.seen); n != maxFolded {
			t.Errorf("%d messages remembered", n)
		}
		if n := len(logLines(t, &b)); n != 2*maxFolded {
			t.Errorf("%d lines", n)
		}
	})
}

func TestReload(t *testing.T) {
	dir := alone(t)
	file := filepath.Join(dir, "c.yaml")
	save := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var b syncBuffer
	save("logging: {level: info}\n")
	a := &app{environ: os.Environ(), configFile: file}
	loaded, err := a.load()
	if err != nil {
		t.Fatal(err)
	}
	level := new(slog.LevelVar)
	hup, done, ended := make(chan os.Signal), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		a.watchReload(hup, done, *loaded.Config, new(liveParts), level, slog.New(slog.NewJSONHandler(&b, nil)))
	}()
	save("logging: {level: debug}\nserver: {listen: 127.0.0.1:9}\n")
	hup <- syscall.SIGHUP
	for deadline := time.Now().Add(time.Minute); level.Level() != slog.LevelDebug && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	save("nonsense: 1\n")
	hup <- syscall.SIGHUP
	close(done)
	<-ended
	if level.Level() != slog.LevelDebug {
		t.Errorf("level is %v", level.Level())
	}
	lines := logLines(t, &b)
	if len(lines) < 2 || fmt.Sprint(lines[0]["applied"]) != "[logging.level]" || fmt.Sprint(lines[1]["keys"]) != "[server.listen]" {
		t.Errorf("got %v", lines)
	}
	if len(lines) != 3 || lines[2]["msg"] != "configuration not reloaded" {
		t.Errorf("a bad file: %v", lines)
	}
	if loaded.Config.Logging.Level != config.Default().Logging.Level {
		t.Error("the configuration that the server runs with was changed")
	}
}
