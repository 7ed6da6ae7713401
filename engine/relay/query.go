package relay

// Query is the query of a native call, taken apart without losing a byte.
type Query struct{}

// Plain tells whether every decoder reads the query alike: only well-formed escapes, no member twice, none without a
// name.
func (q *Query) Plain() bool { return false }

// Len returns the number of members.
func (q *Query) Len() int { return 0 }

// Get returns the decoded value of the first member of that name.
func (q *Query) Get(name string) (value string, ok bool) { return "", false }
