package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"hyperlight/config"
)

// startInFront runs a server in front of a venue of four markets until all books are current.
func startInFront(t *testing.T, v venue, change func(*config.Config)) *appliance {
	t.Helper()
	return startInFrontOf(t, v, 4, change)
}

// startInFrontOf is startInFront for a venue of so many markets.
func startInFrontOf(t *testing.T, v venue, markets int, change func(*config.Config)) *appliance {
	t.Helper()
	cfg := applianceConfig(t.TempDir(), v)
	if change != nil {
		change(cfg)
	}
	a := startAppliance(t, cfg)
	a.waitSynced(markets)
	return a
}

// register makes a user and returns the key that came with it.
func (a *appliance) register(email string) string {
	a.t.Helper()
	client := http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	body := `{"email":"` + email + `","password":"a pass phrase of some length","tos_accepted":true}`
	resp, err := client.Post(a.base+"/api/v1/auth/register", "application/json", bytes.NewReader([]byte(body)))
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct {
		Data struct {
			Key string `json:"api_key"`
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || resp.StatusCode != 201 || out.Data.Key == "" {
		a.t.Fatalf("register %s: status %d, %v", email, resp.StatusCode, err)
	}
	return out.Data.Key
}

// TestClientsThroughREST wants the same of every call whether a client asks the venue or the server in front of it: as a
// local caller, with a key of its own, and with nothing answered but by the venue.
func TestClientsThroughREST(t *testing.T) {
	needClients(t)
	v := stillVenue(t)
	direct := map[string]seen{}
	for _, c := range restClients {
		direct[c.script] = runClient(t, c.script, v.rest, busyAccount)
	}
	for _, door := range []struct {
		name   string
		key    bool
		change func(*config.Config)
	}{
		{name: "local caller"},
		{name: "with a key", key: true, change: func(c *config.Config) { c.Access.DefaultTier = "enterprise" }},
		{name: "nothing answered locally", change: func(c *config.Config) { c.Relay.AnswerLocally = false }},
	} {
		t.Run(door.name, func(t *testing.T) {
			a := startInFront(t, v, door.change)
			settings := []string{busyAccount}
			if door.key {
				settings = append(settings, "key="+a.register("client@example.com"))
			}
			for _, c := range restClients {
				t.Run(c.script, func(t *testing.T) {
					through := runClient(t, c.script, a.base, settings...)
					through.checkRefusals(t, c.refused)
					direct[c.script].checkEqual(t, through)
				})
			}
		})
	}
}

// TestClientsThroughStream watches the venue and the server in front of it at the same time: where two books met at a
// nonce they are the same, and so are trades and statistics.
func TestClientsThroughStream(t *testing.T) {
	needClients(t)
	v := liveVenue(t)
	t.Run("local caller", func(t *testing.T) {
		a := startInFront(t, v, nil)
		direct, through := twoStreams(t, v.rest, a.base)
		meet(t, direct, through)
	})
	t.Run("with a key", func(t *testing.T) {
		a := startInFront(t, v, func(c *config.Config) { c.Access.DefaultTier = "enterprise" })
		one, other := twoStreams(t, a.base, a.base, "key="+a.register("client@example.com"))
		meet(t, one, other)
	})
}
