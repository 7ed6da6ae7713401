package http

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/google/uuid"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

const (
	// maxUsageRange bounds one answer of hours; longer ranges are asked for in parts.
	maxUsageRange model.Millis = 31 * 86_400_000
	// hourlyCallers is the longest page of callers whose single hours are asked for.
	hourlyCallers = 20
)

// listUsage goes through the callers of one kind by pages, so that no answer holds what a busy year has.
func (c *Control) listUsage(_ context.Context, in *ControlUsageQuery) (*ControlList[*ControlUsage], error) {
	limit, offset, err := in.window()
	switch {
	case err != nil:
		return nil, err
	case in.From < 0 || in.To <= in.From:
		return nil, model.BadRequest("to", "to must be after from")
	case in.Hours && in.To-in.From > maxUsageRange:
		return nil, model.BadRequest("to", "to must be at most 31 days after from where hours are asked for")
	case in.Hours:
		limit = min(limit, hourlyCallers)
	}
	callers, total, err := c.callers(in, limit, offset)
	if err != nil {
		return nil, err
	}
	out := &ControlList[*ControlUsage]{Rows: []*ControlUsage{}, Total: total}
	for i := range callers {
		caller := &callers[i]
		hours, totals, err := c.access.UsageOf(caller.id, in.From, in.To)
		if err != nil {
			return nil, err
		}
		if totals == (access.Counts{}) {
			continue
		}
		caller.row.Totals = totals
		if in.Hours {
			caller.row.Hours = hours
		}
		out.Rows = append(out.Rows, &caller.row)
	}
	return out, nil
}

type usageCaller struct {
	id  uuid.UUID
	row ControlUsage
}

func (c *Control) callers(in *ControlUsageQuery, limit, offset int) (list []usageCaller, total int, err error) {
	switch in.Kind {
	case ControlLocal:
		if in.Email != "" || offset > 0 {
			return nil, 0, nil
		}
		return []usageCaller{{row: ControlUsage{User: access.LocalAccount}}}, 1, nil
	case ControlTokens:
		var rows []access.User
		if in.Email != "" {
			if rows, err = c.userNamed(in.Email); err != nil || offset > 0 {
				return nil, 0, err
			}
			total = len(rows)
		} else {
			rows, total = c.access.Users(limit, offset)
		}
		for i := range rows {
			list = append(list, usageCaller{rows[i].ID, ControlUsage{User: rows[i].Email}})
		}
		return list, total, nil
	case ControlByKey, ControlGone:
		keysOf := c.access.KeysOf
		if in.Kind == ControlGone {
			keysOf = c.access.RevokedKeys
		}
		keys, total, err := keysOf(in.Email, limit, offset)
		if err != nil {
			return nil, 0, err
		}
		emails := c.emails()
		for i := range keys {
			k, id := &keys[i], keys[i].ID.String()
			list = append(list, usageCaller{k.ID, ControlUsage{User: emails[k.User], KeyID: &id, Key: k.Prefix, Name: k.Name}})
		}
		return list, total, nil
	}
	return nil, 0, model.BadRequest("kind", "kind must be local, tokens, keys or revoked")
}

// userNamed finds one user; not_found where there is none.
func (c *Control) userNamed(email string) ([]access.User, error) {
	if _, _, err := c.access.KeysOf(email, 1, 0); err != nil {
		return nil, err
	}
	rows, _ := c.access.Users(math.MaxInt32, 0)
	i := slices.IndexFunc(rows, func(u access.User) bool { return strings.EqualFold(u.Email, strings.TrimSpace(email)) })
	if i < 0 {
		return nil, nil
	}
	return rows[i : i+1], nil
}
