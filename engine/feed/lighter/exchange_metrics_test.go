package lighter

import (
	"fmt"
	"testing"
)

func TestParseExchangeMetrics(t *testing.T) {
	body := `{"code":200,"metrics":[{"timestamp":1767225600,"data":93566.25},{"timestamp":1767312000000,"data":1.2e+9},` +
		`{"timestamp":1767398400000000,"data":"5e-7"},{"timestamp":1767484800000,"data":-0.5}]}`
	rows, err := ParseExchangeMetrics([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, r := range rows {
		got += fmt.Sprint(r.Time, "=", r.Data, " ")
	}
	if want := "1767225600000=93566.25 1767312000000=1200000000 1767398400000=0.0000005 1767484800000=-0.5 "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, bad := range []string{``, `[]`, `{"metrics":{}}`, `{"metrics":[{"timestamp":"x","data":1}]}`, `{"metrics":[{"timestamp":1,"data":"x"}]}`,
		`{"metrics":[{"timestamp":-1,"data":1}]}`, `{"metrics":[{"timestamp":1,"data":{}}]}`} {
		if rows, err := ParseExchangeMetrics([]byte(bad)); err == nil {
			t.Errorf("%s: got %v", bad, rows)
		}
	}
}

func FuzzExchangeMetrics(f *testing.F) {
	f.Add([]byte(`{"code":200,"metrics":[{"timestamp":1767225600,"data":93566.25},{"timestamp":1767312000000,"data":1.2e+9}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		rows, err := ParseExchangeMetrics(body)
		for _, r := range rows {
			if r.Time < 0 || err != nil {
				t.Fatalf("%q: %+v %v", body, r, err)
			}
			_ = r.Data.String()
		}
	})
}
