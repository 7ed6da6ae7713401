//go:build unix

package http

import (
	"io/fs"
	"os"
	"syscall"
)

// ownSocket tells whether a socket was made by us, by root, or by the owner of its directory. In a directory that is
// shared, such as /tmp, anybody could make one and be told what is meant for the server, passwords included.
func ownSocket(socket, dir fs.FileInfo) bool {
	s, ok := socket.Sys().(*syscall.Stat_t)
	d, ok2 := dir.Sys().(*syscall.Stat_t)
	return !ok || !ok2 || s.Uid == 0 || s.Uid == d.Uid || int(s.Uid) == os.Geteuid()
}
