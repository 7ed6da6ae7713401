package access

import (
	"context"
	"testing"

	"github.com/alexedwards/argon2id"
)

// A password that is changed, or an account that is closed, while somebody signs in with the old one: the token that this
// gets is void from the start, however the two run beside each other.
func TestSignInBesideAChangeOfThePassword(t *testing.T) {
	for name, meanwhile := range map[string]func(h *house) error{
		"password": func(h *house) error {
			_, err := h.SetPassword(context.Background(), "a@example.com", "another horse")
			return err
		},
		"disabled and enabled": func(h *house) error {
			if _, err := h.DisableUser("a@example.com"); err != nil {
				return err
			}
			_, err := h.EnableUser("a@example.com")
			return err
		},
	} {
		h := newHouse(t)
		h.passwords.params = quickHashing
		if _, err := h.Register(t.Context(), "a@example.com", goodPassword, true); err != nil {
			t.Fatal(err)
		}
		h.passwords.check = func(password, phc string) (bool, *argon2id.Params, error) {
			ok, params, err := argon2id.CheckHash(password, phc)
			if err := meanwhile(h); err != nil {
				t.Error(err)
			}
			return ok, params, err
		}
		s, err := h.Login(t.Context(), "a@example.com", goodPassword)
		if err != nil {
			continue // refused is as good
		}
		if p, err := h.Authenticate(Request{Bearer: s.Token}); err == nil {
			t.Errorf("%s: the old password still got a token of %s", name, p.User)
		}
	}
}
