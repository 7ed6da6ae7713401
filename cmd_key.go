package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hyperlight/config"
	"hyperlight/engine/model"
	api "hyperlight/http"
)

func (a *app) newKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "key",
		Short:   "Make, list and revoke API keys",
		Long:    "These commands act on the running server through its control socket, or on the store itself when no server runs.",
		Example: "  hyperlight key list",
		Args:    cobra.ArbitraryArgs,
		RunE:    subcommand,
	}
	cmd.AddCommand(a.newKeyCreateCommand(), a.newKeyListCommand(), a.newKeyRevokeCommand())
	return cmd
}

// keyView prints keys, which are told apart by their prefix.
var keyView = listView[*api.ControlKey]{
	header: []string{"id", "user", "name", "prefix", "tier", "status", "allowed", "created", "expires", "last_used"},
	cells: func(k *api.ControlKey) []string {
		return []string{
			k.ID, k.User, k.Name, k.Prefix, k.Tier, k.Status, strings.Join(k.AllowedIPs, " "),
			timeText(k.Created), timeText(k.Expires), timeText(k.LastUsed),
		}
	},
}

func (a *app) newKeyCreateCommand() *cobra.Command {
	var in api.ControlNewKey
	var expires string
	cmd := &cobra.Command{
		Use:     "create --user EMAIL",
		Short:   "Make an API key and print it, this once",
		Example: "  hyperlight key create --user ada@example.com --name bot --expires 90d --allow 10.0.0.0/8,127.0.0.1",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if in.Email == "" {
				return usagef("no --user given; see hyperlight key create --help")
			}
			if expires != "" {
				var err error
				if in.Expires, err = parseExpiry(expires, time.Now()); err != nil {
					return usagef("--expires: %w", err)
				}
			}
			var k api.ControlKey
			if err := a.operate(cmd, storeThere, "key/create", in.Email, &in, &k); err != nil {
				return err
			}
			a.say("the key is shown this once; only its hash is kept")
			return a.print(result{
				header: []string{"api_key", "id", "user", "name", "tier", "expires"},
				rows:   [][]string{{k.APIKey, k.ID, k.User, k.Name, k.Tier, timeText(k.Expires)}},
				json:   &k,
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&in.Email, "user", "", "`EMAIL` of the user it belongs to")
	f.StringVar(&in.Name, "name", "", "`NAME` of the key; else default")
	f.StringVar(&in.Tier, "tier", "", "`PLAN`, not above the user's; else the user's")
	f.StringVar(&expires, "expires", "", "`TIME` at which it ends: 2027-01-31, 2027-01-31T12:00:00Z, or 90d from now; else never")
	f.StringSliceVar(&in.AllowedIPs, "allow", nil, "`NETWORKS` from which it may be used, as 10.0.0.0/8,192.0.2.7; else from anywhere")
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

func (a *app) newKeyListCommand() *cobra.Command {
	var stream bool
	var email string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the API keys, without the keys themselves",
		Example: "  hyperlight key list --user ada@example.com",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withOperator(storeThere, func(o *operator) error {
				return printList(a, keyView, stream, listRows[*api.ControlKey](cmd.Context(), o, "key/list", email, controlPage,
					func(p api.ControlPage) any { return api.ControlKeys{Email: email, ControlPage: p} }))
			})
		},
	}
	cmd.Flags().StringVar(&email, "user", "", "`EMAIL` of one user; else of all")
	addStreamFlag(cmd, &stream)
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

func (a *app) newKeyRevokeCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:     "revoke ID",
		Short:   "Take an API key away, also from sockets that are open; there is no way back",
		Example: "  hyperlight key revoke 2f9d1a52-7e34-4e9f-8f3a-0a8a52d5c111 --yes",
		Args:    exactArgs("the key's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.confirm(yes, "revoke key "+args[0]+" for good"); err != nil {
				return err
			}
			var out api.ControlRevoked
			if err := a.operate(cmd, storeThere, "key/revoke", args[0], &api.ControlID{ID: args[0]}, &out); err != nil {
				return err
			}
			return a.print(result{header: []string{"id", "revoked"}, rows: [][]string{{out.ID, timeText(&out.Revoked)}}, json: &out})
		},
	}
	addYesFlag(cmd, &yes)
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

// parseExpiry reads a time, or how long from now.
func parseExpiry(text string, now time.Time) (model.Millis, error) {
	var d config.Duration
	if err := d.UnmarshalText([]byte(text)); err == nil && d > 0 {
		return model.Millis(now.Add(d.D()).UnixMilli()), nil
	}
	t, err := parseMoment(text)
	if err != nil {
		return 0, err
	}
	if int64(t) <= now.UnixMilli() {
		return 0, fmt.Errorf("%s is not in the future", text)
	}
	return t, nil
}
