package kv

import "context"

// Migration is a change of the format that a test makes.
type Migration = func(ctx context.Context, s *Store, last *Batch) error

// WithFormat returns the options of a program that knows the format 1 + len(steps) and how to get there.
func WithFormat(o Options, steps ...Migration) Options {
	o.format = 1 + len(steps)
	for i, run := range steps {
		o.migrations = append(o.migrations, migration{to: 2 + i, run: run})
	}
	return o
}

// ReadFormat returns the numbers of a format row.
func ReadFormat(v []byte) (number, from int, err error) {
	f, err := decodeFormat(v)
	return f.number, f.from, err
}
