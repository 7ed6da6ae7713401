package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"hyperlight/config"
)

// app is one run of the program: where it writes, and the flags that every command knows.
type app struct {
	stdout, stderr io.Writer
	environ        []string

	configFile string
	output     string
	quiet      bool
	verbose    bool
	noColor    bool
	settings   []string // --set key=value
	flags      []config.Flag
}

// run executes the command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &app{stdout: stdout, stderr: stderr, environ: os.Environ()}
	root := a.newRootCommand()
	root.SetArgs(args)

	// What fails before a command has begun is a wrong command line.
	begun := false
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		begun = true
		return a.checkFlags()
	}
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if !begun {
		err = usagef("%w; see %s --help", err, cmd.CommandPath())
	}
	return report(stderr, cmd.CommandPath(), err)
}

func (a *app) newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "hyperlight",
		Short:         "Record, serve and replay the Lighter exchange",
		Long:          "Hyperlight follows the Lighter exchange, records every book update and trade,\nand answers REST, WebSocket and replay from its own disk.",
		Example:       "  hyperlight serve -c config/demo.yaml",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs, // so that subcommand, not cobra, refuses an unknown name
		RunE:          subcommand,
	}
	root.SetFlagErrorFunc(flagFault)
	root.SetOut(a.stdout) // before the completion commands are made, which keep it
	root.SetErr(a.stderr)
	f := root.PersistentFlags()
	f.StringVarP(&a.configFile, "config", "c", "", "configuration `FILE`; else HYPERLIGHT_CONFIG, else the first found of the search path")
	f.StringArrayVar(&a.settings, "set", nil, "set any `KEY=VALUE` of the configuration, as --set ws.compression=true")
	f.StringVarP(&a.output, "output", "o", "table", "form of what is printed: table, json or csv")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print results and errors only")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "log everything (logging.level debug)")
	f.BoolVar(&a.noColor, "no-color", os.Getenv("NO_COLOR") != "", "no colours; NO_COLOR does the same")
	root.AddCommand(
		a.newServeCommand(),
		a.newImportCommand(),
		a.newReplayCommand(),
		newSimCommand(),
		a.newUserCommand(),
		a.newKeyCommand(),
		a.newTierCommand(),
		a.newSignalCommand(),
		a.newUsageCommand(),
		a.newLakeCommand(),
		a.newExportNowCommand(),
		a.newConfigCommand(),
		a.newCheckCommand(),
		a.newBackupCommand(),
		a.newRestoreCommand(),
		a.newHealthCommand(),
		a.newVersionCommand(),
	)
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Example = "  hyperlight completion bash"
			c.Args, c.RunE = cobra.ArbitraryArgs, subcommand
			for _, shell := range c.Commands() {
				shell.Example = "  hyperlight completion " + shell.Name()
			}
		}
	}
	return root
}

// flagKinds says in words what the functions that read a flag take.
var flagKinds = map[string]string{
	"ParseBool": "true or false", "ParseInt": "a whole number", "Atoi": "a whole number", "ParseFloat": "a number",
}

// flagFault says what a flag takes instead of which function could not read it.
func flagFault(_ *cobra.Command, err error) error {
	flag, cause, _ := strings.Cut(err.Error(), " flag: ")
	kind := ""
	if e, ok := errors.AsType[*strconv.NumError](err); ok {
		kind = flagKinds[e.Func]
	} else if strings.HasPrefix(cause, "time: ") {
		kind = "a time as 500ms or 5s"
	}
	if kind == "" {
		return err
	}
	return fmt.Errorf("%s flag: must be %s", flag, kind)
}

func (a *app) checkFlags() error {
	if !slices.Contains([]string{"table", "json", "csv"}, a.output) {
		return usagef("--output %s is not known; use table, json or csv", a.output)
	}
	return nil
}

// settingFlag adds a flag that sets one key of the configuration.
func (a *app) settingFlag(cmd *cobra.Command, name, path, usage string) {
	cmd.Flags().Func(name, usage, func(text string) error {
		a.flags = append(a.flags, config.Flag{Path: path, Name: "--" + name, Text: text})
		return nil
	})
}

// load reads the configuration that the command line asks for.
func (a *app) load() (*config.Loaded, error) {
	var flags []config.Flag
	switch {
	case a.verbose:
		flags = append(flags, config.Flag{Path: "logging.level", Name: "--verbose", Text: "debug"})
	case a.quiet:
		flags = append(flags, config.Flag{Path: "logging.level", Name: "--quiet", Text: "warn"})
	}
	for _, s := range a.settings {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, usagef("--set %s has no value; write --set key=value", s)
		}
		flags = append(flags, config.Flag{Path: key, Name: "--set", Text: value})
	}
	return config.Load(config.Source{
		File:    a.configFile,
		Environ: a.environ,
		Flags:   append(flags, a.flags...),
	})
}

// say writes a line for the person in front; -q silences it.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.stderr, format+"\n", args...)
	}
}

// noArgs refuses arguments in plain words.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	return nil
}

// atMostOneArg accepts none or one argument.
func atMostOneArg(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return errors.New("at most one argument is accepted")
	}
	return nil
}

// subcommand runs a command that only groups others: help without a name, an error for an unknown one.
func subcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	meant := ""
	cmd.SuggestionsMinimumDistance = 2
	near := cmd.SuggestionsFor(args[0])
	begin := func(name string) bool { return strings.HasPrefix(name, args[0]) }
	if slices.ContainsFunc(near, begin) { // whoever leaves off the end means this one
		near = slices.DeleteFunc(near, func(name string) bool { return !begin(name) })
	}
	if len(near) > 0 {
		meant = ", did you mean " + strings.Join(near, " or ") + "?"
	}
	return usagef("unknown command %q%s; see %s --help", args[0], meant, cmd.CommandPath())
}
