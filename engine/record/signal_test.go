package record

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"hyperlight/engine/model"
)

// What is written of signals and deliveries reads back, and cut off anywhere it is refused.
func TestSignalValues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		raw := func(name string) []byte { return rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, name) }
		text := func(name string) string { return rapid.String().Draw(t, name) }
		ms := func(name string) model.Millis { return model.Millis(rapid.Int64().Draw(t, name)) }
		u32 := func(name string) uint32 { return rapid.Uint32().Draw(t, name) }
		yes := func(name string) bool { return rapid.Bool().Draw(t, name) }
		s := Signal{
			Name: text("name"), Market: model.MarketID(u32("market")), Rule: text("rule"), Cooldown: u32("cooldown"), Enabled: yes("enabled"),
			Created: ms("created"), Updated: ms("updated"),
			Channels: []SignalChannel{{URL: text("url"), Secret: raw("secret"), Old: raw("old"), OldUntil: ms("until")}, {Secret: raw("second"), Old: raw("older")}},
		}
		both(t, s, AppendSignal(nil, &s), DecodeSignal)
		state := SignalState{Evaluator: raw("state"), Triggers: rapid.Uint64().Draw(t, "n"), LastTriggered: ms("last"), Failures: u32("failures"),
			Suspended: yes("suspended"), Disabled: []string{text("gone"), text("gone too")}}
		both(t, state, AppendSignalState(nil, &state), DecodeSignalState)
		d := Delivery{URL: text("url"), Status: 2, Attempts: u32("attempts"), LastStatus: u32("status"), LastError: text("error"), DeliveredAt: ms("at"), Body: raw("body")}
		copy(d.Owner[:], raw("owner"))
		both(t, d, AppendDelivery(nil, &d), DecodeDelivery)
		q := Queued{TriggeredAt: ms("triggered"), Before: u32("before"), Resent: yes("resent")}
		copy(q.Signal[:], raw("signal"))
		both(t, q, AppendQueued(nil, q), DecodeQueued)
	})
}

func both[T any](t *rapid.T, want T, b []byte, decode func([]byte) (T, error)) {
	if got, err := decode(b); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v, want %+v", got, err, want)
	}
	if n := rapid.IntRange(0, len(b)-1).Draw(t, "cut"); n < len(b) {
		if _, err := decode(b[:n]); err == nil {
			t.Fatalf("%T: %d of %d bytes were taken for a whole value", want, n, len(b))
		}
	}
	if _, err := decode(append([]byte{99}, b[1:]...)); err == nil {
		t.Fatalf("%T: an unknown version was read", want)
	}
}

// Any bytes are read without a panic.
func FuzzSignalValues(f *testing.F) {
	f.Add(AppendSignal(nil, &Signal{Name: "x", Channels: []SignalChannel{{URL: "https://example.com"}}}))
	f.Add(AppendDelivery(nil, &Delivery{URL: "https://example.com", Body: []byte("{}")}))
	f.Add(AppendSignalState(nil, &SignalState{Disabled: []string{"a"}}))
	f.Add(AppendQueued(nil, Queued{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := DecodeSignal(b); err == nil {
			if again, err := DecodeSignal(AppendSignal(nil, &s)); err != nil || !reflect.DeepEqual(again, s) {
				t.Fatal("a signal changes when it is written again")
			}
		}
		_, _ = DecodeSignalState(b)
		_, _ = DecodeDelivery(b)
		_, _ = DecodeQueued(b)
	})
}
