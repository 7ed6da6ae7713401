//go:build unix

package http

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// In a directory where everybody may make a socket, a stranger's is not told the operator's secrets.
func TestDialControlTrustsNoStranger(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a stranger's socket")
	}
	dir := socketDir(t)
	path := filepath.Join(dir, "c.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dial := func() error {
		c, err := DialControl(path)
		if err == nil {
			c.Close()
		}
		return err
	}
	if err := dial(); err != nil {
		t.Errorf("our own socket: %v", err)
	}
	if err := os.Lchown(path, 12345, -1); err != nil {
		t.Fatal(err)
	}
	if err := dial(); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a stranger's socket: %v", err)
	}
	link := filepath.Join(dir, "link.sock")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if c, err := DialControl(link); err == nil {
		c.Close()
		t.Error("a stranger's socket is dialled through a link")
	}
	if err := os.Lchown(dir, 12345, -1); err != nil {
		t.Fatal(err)
	}
	if err := dial(); err != nil {
		t.Errorf("the server's user owns directory and socket: %v", err)
	}
}
