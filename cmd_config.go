package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"hyperlight/config"
)

func (a *app) newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Write, check and show the configuration",
		Example: "  hyperlight config show --origin",
		RunE:    subcommand,
	}
	cmd.Args = cobra.ArbitraryArgs
	cmd.AddCommand(a.newConfigInitCommand(), a.newConfigCheckCommand(), a.newConfigShowCommand(), a.newConfigEnvCommand())
	return cmd
}

func (a *app) newConfigInitCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:     "init [FILE]",
		Short:   "Write the default configuration with comments, to FILE or standard output",
		Example: "  hyperlight config init hyperlight.yaml",
		Args:    atMostOneArg,
		RunE: func(_ *cobra.Command, args []string) error {
			text := config.Default().Template()
			if len(args) == 0 {
				_, err := a.stdout.Write(text)
				return err
			}
			if _, err := os.Stat(filepath.Dir(args[0])); err != nil { // else the error would name a temporary file
				return fmt.Errorf("write configuration: %w", err)
			}
			info, err := os.Lstat(args[0])
			if err == nil && info.IsDir() || args[0] == "" {
				return failf(exitFailure, "name a file", "%q is a directory", filepath.Clean(args[0]))
			}
			if err == nil && !force {
				return failf(exitRefused, "give another name, or --force to replace it", "%s exists already", args[0])
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("write configuration: %w", err)
			}
			if err := renameio.WriteFile(args[0], text, 0o600); err != nil {
				return fmt.Errorf("write configuration: %w", err)
			}
			a.say("wrote %s; start with: hyperlight serve -c %s", args[0], args[0])
			return nil
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace a file that is there")
	return cmd
}

func (a *app) newConfigCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "check",
		Short:   "Check the configuration and warn about what is risky",
		Example: "  hyperlight config check -c config/demo.yaml",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			loaded, err := a.load()
			if err != nil {
				return err
			}
			a.warn(loaded.Config)
			from := "defaults"
			if loaded.File != "" {
				from = loaded.File
			}
			a.say("configuration is valid (%s)", from)
			return nil
		},
	}
}

func (a *app) newConfigShowCommand() *cobra.Command {
	var origin bool
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Print the configuration in force, secrets masked",
		Example: "  hyperlight config show --origin -c config/demo.yaml",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			loaded, err := a.load()
			if err != nil {
				return err
			}
			return a.printConfig(loaded, origin)
		},
	}
	cmd.Flags().BoolVar(&origin, "origin", false, "say where each value came from")
	return cmd
}

func (a *app) newConfigEnvCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "env",
		Short:   "List the environment variables, one per key (plans are a table: they come from a file)",
		Example: "  hyperlight config env -o csv",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			r := result{header: []string{"variable", "key", "kind", "default"}}
			for _, f := range config.Default().Fields() {
				if f.Env == "" {
					continue // plans are a table: HYPERLIGHT_ACCESS_PLANS_FILE names the file that holds it
				}
				r.rows = append(r.rows, []string{f.Env, f.Path, f.Type(), f.Text()})
			}
			return a.print(r)
		},
	}
}

// printConfig prints the values in force as YAML, or in the form that --output asks for.
func (a *app) printConfig(loaded *config.Loaded, origin bool) error {
	a.warn(loaded.Config)
	origins := loaded.Origins
	switch {
	case a.output == "csv":
		r := result{header: []string{"key", "value", "origin"}}
		for _, f := range loaded.Config.Fields() {
			r.rows = append(r.rows, []string{f.Path, f.Text(), origins[f.Path].String()})
		}
		return a.print(r)
	case !origin:
		origins = nil
	}
	if a.output == "json" {
		return writeJSON(a.stdout, loaded.Config.Tree(origins))
	}
	_, err := bytes.NewReader(loaded.Config.YAML(origins)).WriteTo(a.stdout)
	return err
}

func (a *app) warn(c *config.Config) {
	for _, w := range a.warnings(c) {
		a.say("warning: %s", w)
	}
}
