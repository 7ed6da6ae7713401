package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"hyperlight/engine/model"
)

// handmade builds a token part by part, signed with HS256 whatever its header says.
func handmade(secret []byte, header, payload string) string {
	enc := base64.RawURLEncoding.EncodeToString
	text := enc([]byte(header)) + "." + enc([]byte(payload))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return text + "." + enc(mac.Sum(nil))
}

// Contract 1.2, checklist 8, 10, 11, and the corpus of tokens that others have fallen for.
func TestTokenCorpus(t *testing.T) {
	h := newHouse(t)
	s := h.register(t, "you@example.com", "free")
	sub, now := s.User.ID.String(), int64(startOfTests/1000)
	head := fmt.Sprintf(`{"alg":"HS256","kid":%q,"typ":"JWT"}`, h.tokens.kid)
	good := fmt.Sprintf(`"iss":"hyperlight","sub":%q,"email":"you@example.com","iat":%d,"sv":0`, sub, now)
	exp := fmt.Sprintf(`,"exp":%d}`, now+3600)
	made := func(header, payload string) string { return handmade(h.tokens.secret, header, payload) }
	if p, err := h.Authenticate(Request{Bearer: made(head, "{"+good+exp)}); err != nil || p.User != s.User.ID {
		t.Fatalf("a sound token made by hand: %v", err) // else every case below would be refused for nothing
	}
	replace := func(old, new string) string {
		p := "{" + good + exp
		if !strings.Contains(p, old) {
			t.Fatalf("the sound payload lacks %s", old)
		}
		return strings.Replace(p, old, new, 1)
	}
	parts := strings.Split(s.Token, ".")
	flip := func(i, at int) string {
		p := append([]string(nil), parts...)
		b := []byte(p[i])
		if b[at] ^= 1; b[at] == 0 {
			t.Fatal("a flip made a zero")
		}
		p[i] = string(b)
		return strings.Join(p, ".")
	}
	enc := base64.RawURLEncoding.EncodeToString
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(s.Token) - 1
	loose := s.Token[:last] + string(digits[strings.IndexByte(digits, s.Token[last])^1]) // the same 32 bytes
	none := enc([]byte(strings.Replace(head, "HS256", "none", 1))) + "." + enc([]byte("{"+good+exp)) + "."
	for what, token := range map[string]string{
		"dots":                      "..",
		"one part":                  "abc",
		"two parts":                 parts[0] + "." + parts[1],
		"four parts":                s.Token + ".x",
		"no signature":              parts[0] + "." + parts[1] + ".",
		"signature of nothing":      parts[0] + ".." + parts[2],
		"padded":                    s.Token + "=",
		"blank at the end":          s.Token + " ",
		"line end inside":           parts[0] + "\n." + parts[1] + "." + parts[2],
		"header flipped":            flip(0, 5),
		"payload flipped":           flip(1, 9),
		"signature flipped":         flip(2, 0),
		"unused bits set":           loose,
		"alg none":                  none,
		"alg none, signed":          made(strings.Replace(head, "HS256", "none", 1), "{"+good+exp),
		"alg None":                  made(strings.Replace(head, "HS256", "None", 1), "{"+good+exp),
		"alg empty":                 made(strings.Replace(head, "HS256", "", 1), "{"+good+exp),
		"alg hs256":                 made(strings.Replace(head, "HS256", "hs256", 1), "{"+good+exp),
		"alg HS512":                 made(strings.Replace(head, "HS256", "HS512", 1), "{"+good+exp),
		"alg RS256 over the secret": made(strings.Replace(head, "HS256", "RS256", 1), "{"+good+exp),
		"alg twice":                 made(strings.Replace(head, `"typ"`, `"alg":"none","typ"`, 1), "{"+good+exp),
		"no alg":                    made(`{"kid":"`+h.tokens.kid+`"}`, "{"+good+exp),
		"alg of another kind":       made(strings.Replace(head, `"HS256"`, `["HS256"]`, 1), "{"+good+exp),
		"another secret":            handmade([]byte(strings.Repeat("x", 32)), head, "{"+good+exp),
		"empty secret":              handmade(nil, head, "{"+good+exp),
		"another kid":               made(strings.Replace(head, h.tokens.kid, "../../dev/null", 1), "{"+good+exp),
		"no kid":                    made(`{"alg":"HS256","typ":"JWT"}`, "{"+good+exp),
		"crit":                      made(strings.Replace(head, "{", `{"crit":["b64"],"b64":false,`, 1), "{"+good+exp),
		"header not JSON":           made("HS256", "{"+good+exp),
		"payload not JSON":          made(head, "sub"),
		"payload an array":          made(head, "[]"),
		"payload null":              made(head, "null"),
		"no exp":                    made(head, "{"+good+"}"),
		"exp null":                  made(head, "{"+good+`,"exp":null}`),
		"exp text":                  made(head, "{"+good+`,"exp":"9999999999"}`),
		"exp past":                  made(head, "{"+good+fmt.Sprintf(`,"exp":%d}`, now-31)),
		"exp twice":                 made(head, "{"+good+fmt.Sprintf(`,"exp":%d,"exp":%d}`, now+3600, now-31)),
		"exp far ahead":             made(head, "{"+good+fmt.Sprintf(`,"exp":%d}`, now+10*365*86400)),
		"exp huge":                  made(head, "{"+good+`,"exp":1e300}`),
		"exp negative":              made(head, "{"+good+`,"exp":-1}`),
		"iat ahead":                 made(head, replace(fmt.Sprintf(`"iat":%d`, now), fmt.Sprintf(`"iat":%d`, now+3600))),
		"no iat":                    made(head, replace(fmt.Sprintf(`,"iat":%d`, now), "")),
		"nbf ahead":                 made(head, replace(`"sv":0`, fmt.Sprintf(`"sv":0,"nbf":%d`, now+3600))),
		"another iss":               made(head, replace(`"hyperlight"`, `"lighter"`)),
		"iss in another case":       made(head, replace(`"hyperlight"`, `"Hyperlight"`)),
		"no iss":                    made(head, replace(`"iss":"hyperlight",`, "")),
		"iss a list":                made(head, replace(`"hyperlight"`, `["hyperlight"]`)),
		"no sub":                    made(head, replace(fmt.Sprintf(`"sub":%q,`, sub), "")),
		"unknown sub":               made(head, replace(sub, uuid.Max.String())),
		"sub no id":                 made(head, replace(sub, "you@example.com")),
		"no sv":                     made(head, replace(`,"sv":0`, "")),
		"sv null":                   made(head, replace(`"sv":0`, `"sv":null`)),
		"sv ahead":                  made(head, replace(`"sv":0`, `"sv":1`)),
		"sv negative":               made(head, replace(`"sv":0`, `"sv":-1`)),
		"sv beyond 32 bits":         made(head, replace(`"sv":0`, `"sv":4294967296`)),
		"over 4 KiB":                made(head, replace(`"sv":0`, `"sv":0,"x":"`+strings.Repeat("x", 4096)+`"`)),
		"a megabyte":                strings.Repeat("e", 1<<20),
		"a million dots":            strings.Repeat(".", 1<<20),
		"not a key":                 "hlt",
	} {
		p, err := h.Authenticate(Request{Bearer: token})
		unauthorized(t, what, err)
		if p != nil {
			t.Errorf("%s: got in as %+v", what, p)
		}
	}
	if n := len(h.tokens.verified); n != 1 {
		t.Errorf("%d tokens are remembered, want the sound one", n)
	}
}

// A public key of RS256 taken for the secret of HS256 is the classic; a token that is really signed with RSA another.
func TestTokenOfAnotherMethod(t *testing.T) {
	h := newHouse(t)
	s := h.register(t, "you@example.com", "free")
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	version := uint32(0)
	for method, secret := range map[jwt.SigningMethod]any{
		jwt.SigningMethodRS256: private, jwt.SigningMethodHS256: public, jwt.SigningMethodHS384: h.tokens.secret,
		jwt.SigningMethodNone: jwt.UnsafeAllowNoneSignatureType,
	} {
		j := jwt.NewWithClaims(method, &claims{Session: &version, RegisteredClaims: jwt.RegisteredClaims{Issuer: tokenIssuer,
			Subject: s.User.ID.String(), IssuedAt: jwt.NewNumericDate(h.now()), ExpiresAt: jwt.NewNumericDate(h.now().Add(time.Hour))}})
		j.Header["kid"] = h.tokens.kid
		token, err := j.SignedString(secret)
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.Authenticate(Request{Bearer: token})
		unauthorized(t, method.Alg(), err)
	}
}

// A token lives its lifetime and the leeway, remembered or not, and a restart does not end it.
func TestTokenLifetime(t *testing.T) {
	h := newHouse(t)
	token := h.register(t, "you@example.com", "free").Token
	for _, c := range []struct {
		after time.Duration
		ok    bool
	}{{0, true}, {24 * time.Hour, true}, {24*time.Hour + 29*time.Second, true}, {24*time.Hour + 30*time.Second, false}, {48 * time.Hour, false}} {
		h.ms.Store(startOfTests)
		h.pass(c.after)
		for what, a := range map[string]*Access{"remembered": h.Access, "new": h.reopen(t).Access} {
			if _, err := a.Authenticate(Request{Bearer: token}); (err == nil) != c.ok {
				t.Errorf("after %v, %s: %v", c.after, what, err)
			}
		}
	}
	// The next secret knows nothing of it, and a shorter lifetime ends it.
	h.ms.Store(startOfTests)
	for what, change := range map[string]func(*Options){
		"secret":   func(o *Options) { o.JWTSecret = []byte(strings.Repeat("z", 32)) },
		"lifetime": func(o *Options) { o.TokenLifetime = time.Hour },
	} {
		_, err := openHouse(t, h.store, h.ms, change).Authenticate(Request{Bearer: token})
		unauthorized(t, what, err)
	}
}

func TestRememberedTokensAreBounded(t *testing.T) {
	h := newHouse(t)
	s := h.register(t, "you@example.com", "free")
	u := h.dir.user(s.User.ID)
	for i := range 2*maxVerified + 10 {
		h.tokens.remember(sha256.Sum256(fmt.Append(nil, i)), verified{user: u, until: startOfTests + model.Millis(i%2)}, startOfTests)
	}
	if n := len(h.tokens.verified); n > maxVerified {
		t.Errorf("%d tokens are remembered, at most %d", n, maxVerified)
	}
	if _, err := h.Authenticate(Request{Bearer: s.Token}); err != nil {
		t.Error(err)
	}
}
