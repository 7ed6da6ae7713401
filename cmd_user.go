package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	api "hyperlight/http"
)

// maxPasswordFile is more than any password has.
const maxPasswordFile = 4 << 10

func (a *app) newUserCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "user",
		Short:   "Make, list and change users",
		Long:    "These commands act on the running server through its control socket, or on the store itself when no server runs.",
		Example: "  hyperlight user list",
		Args:    cobra.ArbitraryArgs,
		RunE:    subcommand,
	}
	cmd.AddCommand(a.newUserCreateCommand(), a.newUserListCommand(), a.newUserSetTierCommand(), a.newUserDisableCommand(),
		a.newUserEnableCommand(), a.newUserSetPasswordCommand())
	return cmd
}

// userView prints users.
var userView = listView[*api.ControlUser]{
	header: []string{"email", "tier", "role", "status", "created", "id"},
	cells: func(u *api.ControlUser) []string {
		return []string{u.Email, u.Tier, u.Role, u.Status, timeText(u.Created), u.ID}
	},
}

// newUser is a user with the password that was made for it, which is told once.
type newUser struct {
	*api.ControlUser
	Password string `json:"password,omitempty"`
}

func (a *app) newUserCreateCommand() *cobra.Command {
	var in api.ControlNewUser
	var passwordFile string
	cmd := &cobra.Command{
		Use:   "create --email EMAIL",
		Short: "Make a user",
		Long: "Create makes a user. Without --password-file it makes up a password and prints it, this once; keys need none:\n" +
			"hyperlight key create makes them.",
		Example: "  hyperlight user create --email ada@example.com --tier growth",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if in.Email == "" {
				return usagef("no --email given; see hyperlight user create --help")
			}
			return a.withPassword(cmd, storeNew, "user/create", in.Email, passwordFile, func(password string) any {
				in.Password = password
				return &in
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&in.Email, "email", "", "`ADDRESS` that the user signs in with")
	f.StringVar(&in.Tier, "tier", "", "`PLAN` of the user; else access.default_tier")
	f.StringVar(&in.Role, "role", "user", "`ROLE`: user or operator")
	f.StringVar(&passwordFile, "password-file", "", passwordFileUsage)
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

func (a *app) newUserSetPasswordCommand() *cobra.Command {
	var passwordFile string
	cmd := &cobra.Command{
		Use:   "set-password EMAIL",
		Short: "Give a user another password and end its sessions; its keys stay",
		Long: "Set-password replaces the password of a user. Without --password-file it makes one up and prints it, this once.\n" +
			"Whoever is signed in must sign in again; API keys work as before.",
		Example: "  hyperlight user set-password ada@example.com",
		Args:    exactArgs("the user's e-mail"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withPassword(cmd, storeThere, "user/set-password", args[0], passwordFile, func(password string) any {
				return &api.ControlPassword{Email: args[0], Password: password}
			})
		},
	}
	cmd.Flags().StringVar(&passwordFile, "password-file", "", passwordFileUsage)
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

const passwordFileUsage = "`FILE` with the password on its first line, - for standard input; must not be readable by others"

// withPassword runs a command that gives a user a password: that of a file, or one that is made up and told this once.
func (a *app) withPassword(cmd *cobra.Command, need storeNeed, name, email, file string, in func(password string) any) error {
	password, made := rand.Text(), file == ""
	if !made {
		var err error
		if password, err = readPassword(file, cmd.InOrStdin()); err != nil {
			return err
		}
	}
	var u api.ControlUser
	if err := a.operate(cmd, need, name, email, in(password), &u); err != nil {
		return err
	}
	out := result{header: userView.header, rows: [][]string{userView.cells(&u)}, json: newUser{ControlUser: &u}}
	if made {
		out.header, out.rows[0] = append([]string{"password"}, out.header...), append([]string{password}, out.rows[0]...)
		out.json = newUser{&u, password}
		a.say("the password is shown this once")
	}
	return a.print(out)
}

func (a *app) newUserListCommand() *cobra.Command {
	var stream bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the users",
		Example: "  hyperlight user list -o json --stream",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withOperator(storeThere, func(o *operator) error {
				return printList(a, userView, stream, listRows[*api.ControlUser](cmd.Context(), o, "user/list", "", controlPage,
					func(p api.ControlPage) any { return p }))
			})
		},
	}
	addStreamFlag(cmd, &stream)
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

func (a *app) newUserSetTierCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "set-tier EMAIL PLAN",
		Short:   "Change the plan of a user, also for sockets that are open",
		Example: "  hyperlight user set-tier ada@example.com scale",
		Args:    exactArgs("the user's e-mail", "the plan"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeUser(cmd, "user/set-tier", args[0], &api.ControlUserTier{Email: args[0], Tier: args[1]})
		},
	}
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

func (a *app) newUserDisableCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:     "disable EMAIL",
		Short:   "Refuse a user and all its keys from now on",
		Example: "  hyperlight user disable ada@example.com --yes",
		Args:    exactArgs("the user's e-mail"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.confirm(yes, "refuse "+args[0]+" and all its keys"); err != nil {
				return err
			}
			return a.changeUser(cmd, "user/disable", args[0], &api.ControlEmail{Email: args[0]})
		},
	}
	addYesFlag(cmd, &yes)
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

func (a *app) newUserEnableCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "enable EMAIL",
		Short:   "Let a disabled user and its keys in again",
		Long:    "Enable takes back what disable did. The user's keys work as before; sign-ins from before stay void.",
		Example: "  hyperlight user enable ada@example.com",
		Args:    exactArgs("the user's e-mail"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeUser(cmd, "user/enable", args[0], &api.ControlEmail{Email: args[0]})
		},
	}
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

// changeUser runs a command that answers with the user as it is now.
func (a *app) changeUser(cmd *cobra.Command, name, subject string, in any) error {
	var u api.ControlUser
	if err := a.operate(cmd, storeThere, name, subject, in, &u); err != nil {
		return err
	}
	return a.print(result{header: userView.header, rows: [][]string{userView.cells(&u)}, json: &u})
}

// controlPage is how many rows are asked for at once.
const controlPage = 1_000

// withOperator runs fn with what carries out the operator's commands.
func (a *app) withOperator(need storeNeed, fn func(*operator) error) (err error) {
	o, err := a.openOperator(need)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	return fn(o)
}

// operate runs one command.
func (a *app) operate(cmd *cobra.Command, need storeNeed, name, subject string, in, out any) error {
	return a.withOperator(need, func(o *operator) error { return o.run(cmd.Context(), name, subject, in, out) })
}

// exactArgs wants one argument for each name.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > len(names) {
			return fmt.Errorf("unexpected argument %q", args[len(names)])
		}
		if len(args) < len(names) {
			return fmt.Errorf("%s is missing", names[len(args)])
		}
		return nil
	}
}

// readPassword reads a password file; the line end that editors add does not count.
func readPassword(name string, stdin io.Reader) (string, error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", fmt.Errorf("read password: %w", err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return "", fmt.Errorf("read password: %w", err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm()&0o004 != 0 {
			return "", failf(exitRefused, "run chmod 600 on it", "password file %s can be read by everybody", name)
		}
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxPasswordFile+1))
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" || len(text) > maxPasswordFile || strings.ContainsAny(password, "\r\n") {
		return "", usagef("password file %s must hold one line with the password", name)
	}
	return password, nil
}
