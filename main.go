// Hyperlight follows the Lighter exchange, keeps every order book in memory,
// records every update and trade, and serves, streams and replays them.
//
// Package main owns the command line, logging, signals and exit codes, and
// opens and closes everything else. It must not hold anything that another
// package could: no decoding, no storage, no handlers.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
