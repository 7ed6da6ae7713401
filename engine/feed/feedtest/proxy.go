// Package feedtest puts faults between a Lighter-like venue and the feed, for tests: on loopback only, repeatable from a
// seed.
package feedtest

// Faults says how often which fault happens.
type Faults struct{}
