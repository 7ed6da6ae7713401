package ws

// Conn is one client connection.
type Conn struct{}

type quota struct{}
