package http

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/google/uuid"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

// maxUsageDays is the longest range of hourly usage in one answer.
const maxUsageDays = 31

// errNoKey is also the answer about somebody else's key: that there is one is nobody's business.
var errNoKey = model.NotFound("API key not found")

// pathKey returns the key that the path names.
func (c *call) pathKey() (uuid.UUID, error) { return c.pathID(0, errNoKey) }

// pathID returns the id that a place of the path names; missing where it is none.
func (c *call) pathID(at int, missing error) (uuid.UUID, error) {
	if !isUUID(c.pathParams[at]) {
		return uuid.Nil, missing
	}
	id, err := uuid.ParseBytes(c.pathParams[at])
	if err != nil {
		return uuid.Nil, missing
	}
	return id, nil
}

// appendKey writes a key object. apiKey is JSON for the member of that name, which only the answer of the call that made
// the key has.
func appendKey(dst []byte, k *access.Key, apiKey string) []byte {
	dst = append(dst, `{"id":"`...)
	dst = append(dst, k.ID.String()...)
	dst = append(dst, `","name":`...)
	dst = model.AppendString(dst, k.Name)
	if apiKey != "" {
		dst = append(dst, `,"api_key":`...)
		dst = append(dst, apiKey...)
	}
	dst = append(dst, `,"prefix":`...)
	dst = model.AppendString(dst, k.Prefix)
	dst = append(dst, `,"tier":`...)
	dst = model.AppendString(dst, k.Tier)
	dst = append(dst, `,"allowed_ips":[`...)
	for i, block := range k.Allowed() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = model.AppendString(dst, block)
	}
	dst = append(dst, `],"status":`...)
	dst = model.AppendString(dst, k.Status)
	dst = append(dst, `,"created_at":`...)
	dst = strconv.AppendInt(dst, int64(k.Created), 10)
	dst = append(dst, `,"expires_at":`...)
	dst = appendMillisOrNull(dst, k.Expires)
	dst = append(dst, `,"last_used_at":`...)
	dst = appendMillisOrNull(dst, k.LastUsed)
	return append(dst, '}')
}

func parseNewKey(c *call) (access.KeySpec, error) {
	o := c.object()
	var s access.KeySpec
	s.Name, _ = o.text("name")
	s.AllowedIPs, _ = o.texts("allowed_ips")
	s.Tier, _ = o.text("tier")
	s.Expires, _ = o.moment("expires_at")
	return s, o.err
}

// answerNewKey makes a key. Its answer is the only one that ever shows it.
func answerNewKey(c *call, dst []byte, s access.KeySpec) ([]byte, meta, error) {
	s.Made = c.made
	k, plain, err := c.server.access.CreateKey(c.principal, s)
	if err != nil {
		return dst, meta{}, err
	}
	c.kept = appendKey(nil, &k, "null")
	if plain == "" { // made by a call whose answer a crash took
		c.ctx.Response.Header.SetCanonical(headerReplayed, []byte("true"))
		return append(dst, c.kept...), meta{}, nil
	}
	return appendKey(dst, &k, string(model.AppendString(nil, plain))), meta{}, nil
}

func parseKeys(c *call) (page, error) {
	p := c.params()
	g := page{Limit: p.integer("limit", 50, 1, 1000), Offset: p.integer("offset", 0, 0, maxOffset)}
	return g, p.err
}

func answerKeys(c *call, dst []byte, g page) ([]byte, meta, error) {
	rows, total, err := c.server.access.Keys(c.principal, g.Limit, g.Offset)
	if err != nil {
		return dst, meta{}, err
	}
	dst = append(dst, `{"keys":[`...)
	for i := range rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendKey(dst, &rows[i], "")
	}
	return append(dst, "]}"...), meta{Paged: true, Total: int64(total), Limit: g.Limit, Offset: g.Offset}, nil
}

// keyChange is what a key is asked to become.
type keyChange struct {
	id    uuid.UUID
	patch access.KeyPatch
}

func parseKeyChange(c *call) (keyChange, error) {
	id, err := c.pathKey()
	if err != nil {
		return keyChange{}, err
	}
	o := c.object()
	q := keyChange{id: id}
	if name, given := o.text("name"); given {
		q.patch.Name = &name
	}
	if ips, given := o.texts("allowed_ips"); given {
		q.patch.AllowedIPs = &ips
	}
	if tier, given := o.text("tier"); given {
		q.patch.Tier = &tier
	}
	if enabled, given := o.flag("enabled"); given {
		q.patch.Enabled = &enabled
	}
	if expires, given := o.moment("expires_at"); given {
		q.patch.Expires = &expires
	}
	return q, o.err
}

func answerKeyChange(c *call, dst []byte, q keyChange) ([]byte, meta, error) {
	k, err := c.server.access.PatchKey(c.principal, q.id, q.patch)
	if err != nil {
		return dst, meta{}, err
	}
	return appendKey(dst, &k, ""), meta{}, nil
}

func parseKeyID(c *call) (uuid.UUID, error) { return c.pathKey() }

func answerRevokedKey(c *call, dst []byte, id uuid.UUID) ([]byte, meta, error) {
	at, err := c.server.access.RevokeKey(c.principal, id)
	if err != nil {
		return dst, meta{}, err
	}
	dst = append(dst, `{"id":"`...)
	dst = append(dst, id.String()...)
	dst = append(dst, `","revoked":true,"revoked_at":`...)
	dst = strconv.AppendInt(dst, int64(at), 10)
	return append(dst, '}'), meta{}, nil
}

// usageQuery is what a key's usage was asked for.
type usageQuery struct {
	id   uuid.UUID
	span span
}

func parseKeyUsage(c *call) (usageQuery, error) {
	id, err := c.pathKey()
	if err != nil {
		return usageQuery{}, err
	}
	p := c.params()
	q := usageQuery{id: id, span: p.span(c.nowMillis())}
	if q.span.To-q.span.From > maxUsageDays*day {
		p.fault("start", "the range must not be longer than 31 days")
	}
	return q, p.err
}

func answerKeyUsage(c *call, dst []byte, q usageQuery) ([]byte, meta, error) {
	u, err := c.server.access.KeyUsage(c.principal, q.id, q.span.From, q.span.To)
	if err != nil {
		return dst, meta{}, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(u); err != nil {
		return dst, meta{}, err
	}
	return append(dst, bytes.TrimSpace(b.Bytes())...), meta{}, nil
}
