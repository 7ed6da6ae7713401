package http

import (
	"context"
	"math"

	"github.com/google/uuid"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

// controlRows is the longest page of a list, and the usual one.
const controlRows = 1_000

// window returns the limit and the offset of a page, or an error for one that is none.
func (p ControlPage) window() (limit, offset int, err error) {
	switch {
	case p.Limit < 0 || p.Limit > controlRows:
		return 0, 0, model.BadRequest("limit", "limit must be from 1 to 1000")
	case p.Offset < 0:
		return 0, 0, model.BadRequest("offset", "offset must not be negative")
	case p.Limit == 0:
		p.Limit = controlRows
	}
	return p.Limit, p.Offset, nil
}

func (c *Control) createUser(ctx context.Context, in *ControlNewUser) (*ControlUser, error) {
	if in.Email == "" {
		return nil, model.BadRequest("email", "email must be given")
	}
	switch in.Role {
	case "", access.RoleUser, access.RoleOperator:
	default:
		return nil, model.BadRequest("role", "role must be user or operator")
	}
	if err := c.knownTier(in.Tier); err != nil {
		return nil, err
	}
	u, err := c.access.CreateUser(ctx, access.UserSpec{Email: in.Email, Tier: in.Tier, Role: in.Role, Password: in.Password})
	if err != nil {
		return nil, err
	}
	return controlUser(&u), nil
}

func (c *Control) listUsers(_ context.Context, in *ControlPage) (*ControlList[*ControlUser], error) {
	limit, offset, err := in.window()
	if err != nil {
		return nil, err
	}
	rows, total := c.access.Users(limit, offset)
	out := &ControlList[*ControlUser]{Rows: make([]*ControlUser, len(rows)), Total: total}
	for i := range rows {
		out.Rows[i] = controlUser(&rows[i])
	}
	return out, nil
}

func (c *Control) setTier(_ context.Context, in *ControlUserTier) (*ControlUser, error) {
	if in.Tier == "" {
		return nil, model.BadRequest("tier", "tier must be given")
	}
	if err := c.knownTier(in.Tier); err != nil {
		return nil, err
	}
	u, err := c.access.SetTier(in.Email, in.Tier)
	if err != nil {
		return nil, err
	}
	return controlUser(&u), nil
}

func (c *Control) disableUser(_ context.Context, in *ControlEmail) (*ControlUser, error) {
	u, err := c.access.DisableUser(in.Email)
	if err != nil {
		return nil, err
	}
	return controlUser(&u), nil
}

func (c *Control) enableUser(_ context.Context, in *ControlEmail) (*ControlUser, error) {
	u, err := c.access.EnableUser(in.Email)
	if err != nil {
		return nil, err
	}
	return controlUser(&u), nil
}

func (c *Control) setPassword(ctx context.Context, in *ControlPassword) (*ControlUser, error) {
	u, err := c.access.SetPassword(ctx, in.Email, in.Password)
	if err != nil {
		return nil, err
	}
	return controlUser(&u), nil
}

func (c *Control) createKey(_ context.Context, in *ControlNewKey) (*ControlKey, error) {
	if err := c.knownTier(in.Tier); err != nil {
		return nil, err
	}
	if in.Expires != 0 && int64(in.Expires) <= c.now().UnixMilli() {
		return nil, model.BadRequest("expires_at", "expires_at must be in the future")
	}
	k, plain, err := c.access.CreateKeyFor(in.Email, access.KeySpec{
		Name: in.Name, AllowedIPs: in.AllowedIPs, Expires: in.Expires, Tier: in.Tier,
	})
	if err != nil {
		return nil, err
	}
	out := controlKey(&k, c.emails()[k.User])
	out.APIKey = plain
	return out, nil
}

func (c *Control) listKeys(_ context.Context, in *ControlKeys) (*ControlList[*ControlKey], error) {
	limit, offset, err := in.window()
	if err != nil {
		return nil, err
	}
	rows, total, err := c.access.KeysOf(in.Email, limit, offset)
	if err != nil {
		return nil, err
	}
	emails := c.emails()
	out := &ControlList[*ControlKey]{Rows: make([]*ControlKey, len(rows)), Total: total}
	for i := range rows {
		out.Rows[i] = controlKey(&rows[i], emails[rows[i].User])
	}
	return out, nil
}

func (c *Control) revokeKey(_ context.Context, in *ControlID) (*ControlRevoked, error) {
	id, err := uuid.Parse(in.ID)
	if err != nil || id == uuid.Nil {
		return nil, model.BadRequest("id", "id must be the id of a key, as key list prints it")
	}
	at, err := c.access.RevokeKeyByID(id)
	if err != nil {
		return nil, err
	}
	return &ControlRevoked{ID: id.String(), Revoked: at}, nil
}

func (c *Control) listTiers(context.Context, *struct{}) (*ControlList[*ControlTier], error) {
	plans := c.access.Plans()
	out := &ControlList[*ControlTier]{Rows: make([]*ControlTier, len(plans)), Total: len(plans)}
	for i, p := range plans {
		out.Rows[i] = &ControlTier{
			Slug: p.Slug, Tagline: p.Tagline, PriceUSD: textOrNull(p.PriceUSD), OverageUSD: textOrNull(p.OverageUSD),
			RequestsPerMinute: p.RequestsPerMinute, CreditsPerMonth: p.CreditsPerMonth, CreditPerMessage: p.CreditPerMessage,
			Connections: p.Connections, Subscriptions: p.Subscriptions, HistoryDepthDays: p.HistoryDepthDays, MaxRangeDays: p.MaxRangeDays,
			ReplayWindowDays: p.ReplayWindowDays, ConcurrentReplays: p.ConcurrentReplays, MaxReplaySpeed: p.MaxReplaySpeed,
			BatchAccounts: p.BatchAccounts, Keys: p.Keys, Signals: p.Signals,
		}
	}
	return out, nil
}

// knownTier refuses a plan that is not in the table; "" asks for the usual one.
func (c *Control) knownTier(slug string) error {
	if slug == "" {
		return nil
	}
	known := ""
	for _, p := range c.access.Plans() {
		if p.Slug == slug {
			return nil
		}
		if known != "" {
			known += ", "
		}
		known += p.Slug
	}
	return model.BadRequest("tier", "tier must be one of "+known)
}

// emails names every user.
func (c *Control) emails() map[uuid.UUID]string {
	rows, _ := c.access.Users(math.MaxInt32, 0)
	m := make(map[uuid.UUID]string, len(rows))
	for i := range rows {
		m[rows[i].ID] = rows[i].Email
	}
	return m
}

func controlUser(u *access.User) *ControlUser {
	return &ControlUser{
		ID: u.ID.String(), Email: u.Email, Tier: u.Tier, Role: u.Role, Status: u.Status,
		Created: millisOrNull(u.Created), TermsAccepted: millisOrNull(u.TermsAccepted),
	}
}

func controlKey(k *access.Key, email string) *ControlKey {
	out := &ControlKey{
		ID: k.ID.String(), User: email, Name: k.Name, Prefix: k.Prefix, Tier: k.Tier, AllowedIPs: []string{}, Status: k.Status,
		Created: millisOrNull(k.Created), Expires: millisOrNull(k.Expires), LastUsed: millisOrNull(k.LastUsed),
	}
	for _, p := range k.AllowedIPs {
		if p.IsSingleIP() {
			out.AllowedIPs = append(out.AllowedIPs, p.Addr().String())
		} else {
			out.AllowedIPs = append(out.AllowedIPs, p.String())
		}
	}
	return out
}

func millisOrNull(t model.Millis) *model.Millis {
	if t == 0 {
		return nil
	}
	return &t
}

func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
