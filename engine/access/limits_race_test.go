//go:build race

package access

func init() { raceEnabled = true }
