package http

// native answers a call by the relay.
func (s *Server) native(c *call) error { return errNoPath }
