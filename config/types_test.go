package config

import (
	"testing"

	"pgregory.net/rapid"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]Duration{
		"0": 0, "10s": 10 * second, "90d": 90 * day, "1h30m": 5400 * second, "1d12h": day + day/2, "250ms": second / 4, "0s": 0, "24h": day,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d != want {
			t.Errorf("%q gives %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "10", "-1s", "d", "-1d", "1.5d", "1d-1h", "1w", "999999999d", "106751d24h", "1d 2h"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q gives %v, want an error", text, d)
		}
	}
	for d, want := range map[Duration]string{0: "0", 90 * day: "90d", 36 * day / 24: "36h", 90 * second: "1m30s", 60 * second: "1m", second / 4: "250ms"} {
		if got := d.String(); got != want {
			t.Errorf("%d prints %q, want %q", d, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "1": 1, "64MiB": 64 << 20, "8 GiB": 8 << 30, "1kB": 1000, "5B": 5, "2TB": 2e12} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%q gives %v, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5GiB", "1mib", "9999999999TiB", "0x10"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q gives %v, want an error", text, s)
		}
	}
}

func TestTextRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Duration(rapid.Int64Min(0).Draw(t, "duration"))
		var d2 Duration
		if err := d2.UnmarshalText([]byte(d.String())); err != nil || d2 != d {
			t.Fatalf("duration %d prints %s, reads %d, %v", d, d, d2, err)
		}
		s := Size(rapid.Int64Min(0).Draw(t, "size"))
		var s2 Size
		if err := s2.UnmarshalText([]byte(s.String())); err != nil || s2 != s {
			t.Fatalf("size %d prints %s, reads %d, %v", s, s, s2, err)
		}
	})
}

func TestMarkets(t *testing.T) {
	var m Markets
	if !m.All() || !m.Has(7) || m.String() != "all" {
		t.Error("nil must mean all")
	}
	if err := m.UnmarshalText([]byte("3, 1")); err != nil || m.All() || !m.Has(3) || m.Has(2) || m.String() != "3,1" {
		t.Errorf("got %v, %v", m, err)
	}
	for _, text := range []string{"", "ALL", "1,,2", "-1", "1,1", "eth"} {
		if err := m.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q gives %v, want an error", text, m)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"server.listen", "storage.dir", "logging.level"}
	for name, want := range map[string]string{
		"server.lisen": "server.listen", "servre.listen": "server.listen", "storage.dri": "storage.dir", "logging.level": "logging.level", "xyz": "",
	} {
		if got := nearest(name, known); got != want {
			t.Errorf("%q gives %q, want %q", name, got, want)
		}
	}
	if edits("abcd", "abdc") != 1 || edits("", "abc") != 3 || edits("kitten", "sitting") != 3 {
		t.Error("wrong distance")
	}
}

// FuzzFile: no file may crash the reader, and what it accepts must be valid and print to something that loads the same.
func FuzzFile(f *testing.F) {
	f.Add("server:\n  listen: \"127.0.0.1:1\"\n  trusted_proxies: [10.0.0.0/8]\nvenues: {lighter: {markets: all, stale_after: 15s}}\n")
	f.Add("a: &x [*x]\n")
	f.Add("server: {listen: !!str 1}\n")
	f.Add("history: {retention: {trades: {a: b}}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		l := newLoader()
		l.readFile("f.yaml", []byte(text), l.fields, FromFile)
		l.validate(nil)
		if len(l.faults) > 0 {
			return
		}
		again := newLoader()
		l.Config.Metrics.Token = "" // printed masked
		again.readFile("f.yaml", l.Config.YAML(nil), again.fields, FromFile)
		if len(again.faults) > 0 || string(again.Config.YAML(nil)) != string(l.Config.YAML(nil)) {
			t.Fatalf("printed\n%s\nreads as\n%s\n%v", l.Config.YAML(nil), again.Config.YAML(nil), again.faults)
		}
	})
}

func TestWhaleMarkets(t *testing.T) {
	var w WhaleMarkets
	if err := w.UnmarshalText([]byte("7=5000, 0=250000")); err != nil || len(w) != 2 || w[0] != 250_000 || w.String() != "0=250000,7=5000" {
		t.Errorf("%v, %v", w, err)
	}
	if err := w.UnmarshalText(nil); err != nil || len(w) != 0 || w.String() != "" {
		t.Errorf("empty gives %v, %v", w, err)
	}
	for _, text := range []string{"0", "0=", "x=5000", "-1=5000", "0=1.5", "0=5000,0=6000", "0=5000,", "0:5000"} {
		if err := w.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q gives %v, want an error", text, w)
		}
	}
	for _, bad := range []Whales{{Threshold: 999}, {Threshold: 1000, Markets: WhaleMarkets{0: 999}}, {Threshold: 1000, Markets: WhaleMarkets{1 << 23: 5000}}} {
		c := Default()
		if c.Whales = bad; c.Validate() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
