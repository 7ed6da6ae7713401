package sides

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Cluster is a PostgreSQL server of its own: a new data directory, reached over a Unix socket in it and nowhere else.
type Cluster struct {
	// URL is what clients connect with.
	URL     string
	process *exec.Cmd
}

// settings are what PostgreSQL is tuned with: the data set lies in its memory or the system's, nothing waits for the disk
// while it is filled, and no worker is started for a query of a page.
var settings = []string{"shared_buffers=2GB", "effective_cache_size=8GB", "work_mem=32MB", "maintenance_work_mem=1GB", "max_wal_size=16GB",
	"wal_level=minimal", "max_wal_senders=0", "synchronous_commit=off", "fsync=off", "full_page_writes=off", "random_page_cost=1.1",
	"max_parallel_workers_per_gather=0", "jit=off", "listen_addresses=", "autovacuum=on", "max_connections=50"}

// StartCluster runs a cluster in dir with the programs in bin, as a user who is not root; it makes one where there is
// none. Where core is not negative the cluster runs on that processor alone.
func StartCluster(bin, dir string, core int) (*Cluster, error) {
	user, err := unprivileged()
	if err != nil {
		return nil, err
	}
	as := func(cmd *exec.Cmd) *exec.Cmd {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user, Setpgid: true}
		cmd.Dir = dir
		return cmd
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if user != nil {
		if err := os.Chown(dir, int(user.Uid), int(user.Gid)); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(dir, "data")
	if _, err := os.Stat(data); err == nil {
		// Left by a run before.
	} else if out, err := as(exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	args := []string{"-D", data, "-k", dir}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	c := &Cluster{URL: "host=" + dir + " user=bench database=postgres", process: as(onCore(core, filepath.Join(bin, "postgres"), args...))}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c.process.Stdout, c.process.Stderr = log, log
	if err := c.process.Start(); err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	for range 100 {
		if exec.Command(filepath.Join(bin, "pg_isready"), "-q", "-h", dir, "-U", "bench", "-d", "postgres").Run() == nil {
			return c, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil, errors.Join(errors.New("postgres does not answer"), c.Stop())
}

// Process returns the id of the process whose children answer.
func (c *Cluster) Process() int { return c.process.Process.Pid }

// Stop ends the server: a fast shutdown.
func (c *Cluster) Stop() error {
	if err := c.process.Process.Signal(os.Interrupt); err != nil {
		return fmt.Errorf("stop postgres: %w", err)
	}
	_ = c.process.Wait()
	return nil
}

// unprivileged returns the user that PostgreSQL runs as where we are root, which it refuses.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uerr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gerr := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(uerr, gerr)
	}
	return nil, errors.New("there is no user postgres or nobody to run PostgreSQL as")
}
