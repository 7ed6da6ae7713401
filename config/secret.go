package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// maxSecretFile bounds what is read for one secret.
const maxSecretFile = 64 << 10

// readSecrets fills each secret x from the file that x_file names, or from the
// service manager's credentials directory. Between x and x_file the stronger
// source wins.
func (l *loader) readSecrets(credentials string) {
	for path, f := range l.fields {
		if !f.Secret {
			continue
		}
		direct, fileOrigin := l.Origins[path], l.Origins[path+"_file"]
		name := l.fields[path+"_file"].Text()
		origin := fileOrigin
		switch {
		case name != "" && direct.Level == fileOrigin.Level:
			l.fault(path, direct.Name, "is given together with "+path+"_file; keep one")
			continue
		case name != "" && direct.Level > fileOrigin.Level, name == "" && direct.Level > FromDefault:
			continue
		case name == "":
			if credentials == "" {
				continue
			}
			name = filepath.Join(credentials, path)
			if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
				continue
			}
			origin = Origin{FromFile, name}
		}
		secret, err := readSecret(name)
		if err != nil {
			l.fault(path+"_file", origin.Name, err.Error())
			continue
		}
		f.value.SetString(secret)
		l.Origins[path] = Origin{origin.Level, name}
	}
}

// readSecret reads a secret file; the line end that editors add does not count.
func readSecret(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o004 != 0 {
		return "", fmt.Errorf("secret file %s is readable by everybody; chmod 600 it", name)
	}
	if !info.Mode().IsRegular() || info.Size() > maxSecretFile {
		return "", fmt.Errorf("secret file %s is not a plain file of at most 64 KiB", name)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	s := strings.TrimRight(string(b), "\r\n")
	if s == "" {
		return "", fmt.Errorf("secret file %s is empty", name)
	}
	return s, nil
}
