package sides

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// tick is the unit of times in /proc.
const tick = 10 * time.Millisecond

// ProcessorTime returns the time that processes and the children that they run now have had of the processors; 0 where the
// system does not tell. Unlike a rate it hardly depends on what else the machine does.
func ProcessorTime(pids ...int) (sum time.Duration) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0
	}
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			continue
		}
		// The second field is a name in parentheses, which may hold blanks.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if len(fields) < 13 {
			continue
		}
		number := func(i int) int {
			n, _ := strconv.Atoi(string(fields[i]))
			return n
		}
		for _, p := range pids {
			if p == pid || p == number(1) {
				sum += time.Duration(number(11)+number(12)) * tick
			}
		}
	}
	return sum
}
