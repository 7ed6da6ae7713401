package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run the program itself: `exec hyperlight ...` starts this test binary as hyperlight.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hyperlight": main})
}

// TestScripts runs testdata/script/*.txtar, each in an empty directory that is also its home.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_STATE_HOME", e.WorkDir+"/state")
			e.Setenv("XDG_CONFIG_HOME", e.WorkDir+"/xdg")
			return nil
		},
	})
}
