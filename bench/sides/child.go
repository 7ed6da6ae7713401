// Package sides runs what is measured side by side: processes that answer, a PostgreSQL cluster among them, each on a
// processor of its own where that is asked for, and tells the processor time that they took. It knows no question and
// measures nothing else. Only the programs below bench import it.
package sides

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// Child is a process that answers: it prints its addresses as one line and ends with its input.
type Child struct {
	Addrs []string
	In    io.WriteCloser
	Out   *bufio.Reader
	cmd   *exec.Cmd
}

// StartChild runs a program and waits for its addresses. Where core is not negative it runs on that processor alone.
func StartChild(core int, program string, args ...string) (*Child, error) {
	cmd := onCore(core, program, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &Child{In: in, Out: bufio.NewReader(out), cmd: cmd}
	line, err := c.Out.ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s did not start: %w", strings.Join(args, " "), err), c.Stop())
	}
	c.Addrs = strings.Fields(line)
	return c, nil
}

// Process returns the child's process id.
func (c *Child) Process() int { return c.cmd.Process.Pid }

// Stop ends the child and waits for it.
func (c *Child) Stop() error {
	_ = c.In.Close()
	return c.cmd.Wait()
}

// onCore makes a command that runs on one processor; on all of them where core is negative.
func onCore(core int, program string, args ...string) *exec.Cmd {
	if core < 0 {
		return exec.Command(program, args...)
	}
	return exec.Command("taskset", append([]string{"-c", strconv.Itoa(core), program}, args...)...)
}

// StartCommand runs a server that is not ours on a processor and returns its process; it is ended by a signal.
func StartCommand(core int, program string, args ...string) (*exec.Cmd, error) {
	cmd := onCore(core, program, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	return cmd, nil
}
