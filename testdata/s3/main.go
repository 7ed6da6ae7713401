// Command s3 is an S3-compatible server for tests: Versity's gateway over a directory, with one account.
//
//	s3 DIR ADDRESS ACCESS SECRET REGION
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/middlewares"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 5 {
		return fmt.Errorf("usage: s3 DIR ADDRESS ACCESS SECRET REGION")
	}
	dir, address, access, secret, region := args[0], args[1], args[2], args[3], args[4]
	sidecar := filepath.Join(filepath.Dir(dir), "attributes")
	if err := os.MkdirAll(sidecar, 0o700); err != nil {
		return err
	}
	attributes, err := meta.NewSideCar(sidecar)
	if err != nil {
		return err
	}
	backend, err := posix.New(dir, attributes, posix.PosixOpts{SideCarDir: sidecar, ValidateBucketNames: true, Concurrency: 64})
	if err != nil {
		return err
	}
	defer backend.Shutdown()
	accounts := single{auth.NewIAMServiceSingle(auth.Account{Access: access, Secret: secret, Role: auth.RoleAdmin})}
	server, err := s3api.New(backend, middlewares.RootUserConfig{Access: access, Secret: secret}, region, accounts, nil, nil, nil, nil,
		s3api.WithQuiet(), s3api.WithHealth("/health"), s3api.WithConcurrencyLimiter(256, 256))
	if err != nil {
		return err
	}
	return server.ServeMultiPort([]string{address})
}

// single knows one account, and answers for others as services with many do: the gateway's own has a code of its own for that.
type single struct{ auth.IAMService }

func (s single) GetUserAccount(access string) (auth.Account, error) {
	a, err := s.IAMService.GetUserAccount(access)
	if err != nil {
		return a, auth.ErrNoSuchUser
	}
	return a, nil
}
