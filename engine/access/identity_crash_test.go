package access

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// What a call has answered survives a crash right after it, whatever of the unsynced data is lost: a revoked key stays
// revoked, a new one works.
func TestCrash(t *testing.T) {
	for _, percent := range []int{0, 50, 100} {
		h := newHouse(t)
		s := h.register(t, "you@example.com", "starter")
		p := h.caller(t, s.PlainKey)
		_, kept, err := h.CreateKey(p, KeySpec{Name: "kept"})
		if err != nil {
			t.Fatal(err)
		}
		revoked, plain, err := h.CreateKey(p, KeySpec{})
		if err != nil {
			t.Fatal(err)
		}
		h.pass(time.Millisecond)
		h.register(t, "off@example.com", "free")
		if _, err := h.DisableUser("off@example.com"); err != nil {
			t.Fatal(err)
		}
		if err := h.write(); err != nil { // not synced: may be lost, never half of it
			t.Fatal(err)
		}
		if _, err := h.RevokeKey(p, revoked.ID); err != nil {
			t.Fatal(err)
		}
		after := openHouse(t, kvtest.CrashClone(t, h.store, percent), h.ms)
		if p := after.caller(t, kept); p.Plan.Slug != "starter" {
			t.Errorf("got %+v", p.Plan)
		}
		_, err = after.Authenticate(Request{APIKey: plain})
		unauthorized(t, "revoked", err)
		if _, err := after.Authenticate(Request{Bearer: s.Token}); err != nil {
			t.Errorf("token: %v", err)
		}
		_, err = after.Login(context.Background(), "off@example.com", goodPassword)
		refused(t, "disabled", err, model.CodeForbidden, "")
		if rows, total := after.Users(0, 0); total != 2 || rows[1].Status != StatusDisabled {
			t.Errorf("got %+v", rows)
		}
	}
}

// A write that fails changes nothing in memory either, and a full disk takes no new key but lets one be revoked.
func TestFullDisk(t *testing.T) {
	disk := kvtest.NewDisk()
	disk.SetFree(1 << 40)
	ms := &atomic.Int64{}
	ms.Store(startOfTests)
	store := disk.Open(t, kv.Options{MinFree: 1 << 30, Now: func() time.Time { return time.UnixMilli(ms.Load()) }})
	h := openHouse(t, store, ms)
	s := h.register(t, "you@example.com", "starter")
	p := h.caller(t, s.PlainKey)
	k, plain, err := h.CreateKey(p, KeySpec{})
	if err != nil {
		t.Fatal(err)
	}
	disk.SetFree(1 << 20)
	h.pass(time.Second) // the store asks once a second
	_, _, err = h.CreateKey(p, KeySpec{})
	refused(t, "create key", err, model.CodeServiceUnavailable, "storage is not ready, try again later")
	if !errors.Is(err, kv.ErrReadOnly) {
		t.Errorf("the cause is lost: %v", err)
	}
	_, err = h.PatchKey(p, k.ID, KeyPatch{Tier: new(string)})
	refused(t, "patch key", err, model.CodeServiceUnavailable, "")
	_, err = h.Register(context.Background(), "b@example.com", goodPassword, true)
	refused(t, "register", err, model.CodeServiceUnavailable, "")
	if _, total := h.Users(0, 0); total != 1 {
		t.Error("a user that was not stored")
	}
	if err := h.write(); err == nil {
		t.Error("use of keys was written")
	}
	ended, end := context.WithCancel(context.Background())
	end()
	if err := h.run(ended, nil); err != nil {
		t.Errorf("the last round: %v", err)
	}
	h.ending.Store(false)
	if _, err := h.RevokeKey(p, k.ID); err != nil {
		t.Errorf("revoke: %v", err)
	}
	_, err = h.Authenticate(Request{APIKey: plain})
	unauthorized(t, "revoked", err)
}

// Checklist 136: nothing secret rests in the store, in memory that is listed, or in a log line.
func TestStoreHoldsNoSecret(t *testing.T) {
	var log bytes.Buffer
	h := newHouse(t, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	setup, _ := h.SetupToken()
	s, err := h.Setup(context.Background(), setup, "op@example.com", goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	_, plain, err := h.CreateKey(h.caller(t, s.PlainKey), KeySpec{Name: "second"})
	if err != nil {
		t.Fatal(err)
	}
	login, err := h.Login(context.Background(), "op@example.com", goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.write(); err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]byte{"password": []byte(goodPassword), "signing secret": testSecret, "setup token": []byte(setup),
		"token": []byte(s.Token), "second token": []byte(login.Token), "token's signature": []byte(s.Token[strings.LastIndex(s.Token, ".")+1:])}
	for name, plain := range map[string]string{"first key": s.PlainKey, "second key": plain} {
		raw, err := hex.DecodeString(plain[4:])
		if err != nil {
			t.Fatal(err)
		}
		secrets[name], secrets[name+" without its prefix"], secrets[name+" in bytes"] = []byte(plain), []byte(plain[12:]), raw
	}
	rows := 0
	for row, err := range h.store.Scan(context.Background(), key.Range{Start: []byte{0}, End: []byte{0xff}}) {
		if err != nil {
			t.Fatal(err)
		}
		rows++
		for name, secret := range secrets {
			if bytes.Contains(row.Key, secret) || bytes.Contains(row.Value, secret) {
				t.Errorf("the row of family %c holds the %s", row.Key[0], name)
			}
		}
	}
	if rows < 6 {
		t.Fatalf("only %d rows were looked at", rows)
	}
	users, _ := h.Users(0, 0)
	keys, _, _ := h.KeysOf("", 0, 0)
	shown := fmt.Sprintf("%+v %+v %s", users, keys, log.String())
	for name, secret := range secrets {
		if strings.Contains(shown, string(secret)) {
			t.Errorf("a list or a log line holds the %s", name)
		}
	}
	if strings.Contains(shown, "argon2id") {
		t.Error("a list or a log line holds the hash of a password")
	}
	for _, u := range h.dir.order {
		if u.record.Load().phc != "" {
			t.Error("memory holds the hash of a password")
		}
	}
}

// Rows that cannot have been written together stop the start.
func TestTornStore(t *testing.T) {
	for what, hurt := range map[string]func(h *house, s *Session, b *kv.Batch){
		"key without its hash": func(h *house, s *Session, b *kv.Batch) {
			b.Delete(key.KeyHash(nil, h.dir.keys[s.Key.ID].record.Load().hash))
		},
		"hash without its key": func(h *house, s *Session, b *kv.Batch) { b.Delete(key.APIKey(nil, s.User.ID, s.Key.ID)) },
		"user without e-mail":  func(h *house, s *Session, b *kv.Batch) { b.Delete(key.Email(nil, emailHash(s.User.Email))) },
		"keys without the user": func(h *house, s *Session, b *kv.Batch) {
			b.Delete(key.User(nil, s.User.ID))
			b.Delete(key.Email(nil, emailHash(s.User.Email)))
		},
		"hash of another key": func(h *house, s *Session, b *kv.Batch) {
			b.Set(key.KeyHash(nil, h.dir.keys[s.Key.ID].record.Load().hash), appendPointer(nil, s.User.ID, s.User.ID))
		},
		"damaged user": func(h *house, s *Session, b *kv.Batch) { b.Set(key.User(nil, s.User.ID), []byte{1, 2, 3}) },
	} {
		h := newHouse(t)
		s := h.register(t, "you@example.com", "free")
		b := h.store.NewBatch()
		hurt(h, s, b)
		if err := h.store.Commit(b, kv.Sync); err != nil {
			t.Fatal(err)
		}
		if _, err := houseOn(h.store, h.ms); err == nil {
			t.Errorf("%s: the store was taken", what)
		}
	}
}
