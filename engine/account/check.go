package account

import (
	"context"
	"errors"
	"fmt"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// Check walks the rows of accounts and addresses: every row decodes, positions stand in order, and each account with an
// owner is found from the owner's address, each address leads to an account that is its own. report is told what does
// not fit; an error of it ends the walk. It must not run beside a Tracker that writes.
func Check(ctx context.Context, s *kv.Store, report func(k []byte, problem string) error) error {
	c := &storeCheck{ctx: ctx, store: s, owners: make(map[uint64]model.Address), report: report}
	if err := c.each(key.AccountState, c.account); err != nil {
		return fmt.Errorf("check accounts: %w", err)
	}
	if err := c.each(key.Addresses, c.address); err != nil {
		return fmt.Errorf("check addresses: %w", err)
	}
	return c.missing()
}

// storeCheck is a walk. With a million accounts it holds some fifty megabytes.
type storeCheck struct {
	ctx    context.Context
	store  *kv.Store
	report func(k []byte, problem string) error
	owners map[uint64]model.Address // of the accounts that no address row has led to yet
	row    model.Account
	torn   bool // rows could not be read: what leads to them is not looked for
}

// each calls visit for every row of a family.
func (c *storeCheck) each(f key.Family, visit func(row kv.KV) error) error {
	torn, err := c.store.CheckRows(c.ctx, f, c.report, visit)
	c.torn = c.torn || torn
	return err
}

func (c *storeCheck) account(row kv.KV) error {
	id, err := key.ParseAccount(row.Key)
	if err = errors.Join(err, record.DecodeAccount(row.Value, &c.row)); err != nil {
		return c.report(row.Key, err.Error())
	}
	if c.row.Address != (model.Address{}) {
		c.owners[id] = c.row.Address
	}
	for i := range c.row.Positions {
		p := &c.row.Positions[i]
		switch {
		case i > 0 && p.Market <= c.row.Positions[i-1].Market:
			err = c.report(row.Key, "positions are not in the order of their markets")
		case p.Entry < 0:
			err = c.report(row.Key, fmt.Sprintf("position in market %d has an entry value below zero", p.Market))
		case p.Size == 0 && p.Entry != 0:
			err = c.report(row.Key, fmt.Sprintf("flat position in market %d has an entry value", p.Market))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *storeCheck) address(row kv.KV) error {
	k, err := key.ParseAddress(row.Key)
	switch {
	case err != nil:
		return c.report(row.Key, err.Error())
	case len(row.Value) != 0:
		return c.report(row.Key, "row of an address has a value")
	case c.owners[k.Account] != k.Address && !c.torn:
		return c.report(row.Key, fmt.Sprintf("address leads to account %d, which is not its own", k.Account))
	}
	delete(c.owners, k.Account)
	return nil
}

// missing reports the accounts whose owner's address does not lead to them.
func (c *storeCheck) missing() error {
	if c.torn {
		return nil
	}
	for id, owner := range c.owners {
		if err := c.report(key.Address(nil, owner, id), fmt.Sprintf("no row leads from the owner's address to account %d", id)); err != nil {
			return err
		}
	}
	return nil
}
