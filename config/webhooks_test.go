package config

import (
	"reflect"
	"testing"
)

// Who may be called changes while the server runs; the schedule of what waits already does not.
func TestWebhookPolicyIsLive(t *testing.T) {
	running, next := Default(), Default()
	next.Webhooks = Webhooks{AllowHTTP: true, AllowPrivate: true, Ports: List{"80"}, RetrySchedule: List{"1m"}}
	applied, restart := Changes(running, next)
	if want := []string{"webhooks.allow_http", "webhooks.allow_private", "webhooks.ports"}; !reflect.DeepEqual(applied, want) {
		t.Errorf("applied %v, want %v", applied, want)
	}
	if want := []string{"webhooks.retry_schedule"}; !reflect.DeepEqual(restart, want) {
		t.Errorf("restart %v, want %v", restart, want)
	}
	running.Apply(next)
	if w := running.Webhooks; !w.AllowHTTP || !w.AllowPrivate || w.PortNumbers()[0] != 80 || len(w.Waits()) != 5 {
		t.Errorf("after apply: %+v", w)
	}
}
