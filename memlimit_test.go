package main

import (
	"math"
	"runtime/debug"
	"testing"
	"testing/fstest"
)

func TestCgroupLimit(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"none", nil, 0},
		{"no limit", map[string]string{"sys/fs/cgroup/memory.max": "max\n"}, 0},
		{"container root", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1073741824\n"}, 1 << 30},
		{"service", map[string]string{
			"proc/self/cgroup": "0::/system.slice/hyperlight.service\n",
			"sys/fs/cgroup/system.slice/hyperlight.service/memory.max": "max\n",
			"sys/fs/cgroup/system.slice/memory.max":                    "2147483648\n",
		}, 2 << 30},
		{"least of the way up", map[string]string{
			"proc/self/cgroup":             "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "300\n",
			"sys/fs/cgroup/a/memory.max":   "200\n",
			"sys/fs/cgroup/c/memory.max":   "100\n",
		}, 200},
		{"version 1", map[string]string{
			"proc/self/cgroup": "5:cpu:/x\n4:memory:/docker/1\n",
			"sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "536870912\n",
		}, 512 << 20},
		{"version 1 without", map[string]string{"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		{"nonsense", map[string]string{"proc/self/cgroup": "\n::\nx\n", "sys/fs/cgroup/memory.max": "-4\n"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := fstest.MapFS{}
			for name, text := range tt.files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			got, ok := cgroupLimit(root)
			if ok != (tt.want != 0) || ok && got != tt.want {
				t.Errorf("got %d, %v, want %d", got, ok, tt.want)
			}
		})
	}
}

func TestLimitMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	root := fstest.MapFS{"sys/fs/cgroup/memory.max": {Data: []byte("100000000000\n")}}
	if _, ok := limitMemory(root, "1GiB"); ok || debug.SetMemoryLimit(-1) != before {
		t.Error("GOMEMLIMIT must win")
	}
	if n, ok := limitMemory(root, ""); !ok || n != 85_000_000_000 || debug.SetMemoryLimit(-1) != n {
		t.Errorf("limit is %d, %v", n, ok)
	}
	if before != math.MaxInt64 {
		t.Logf("the machine gave a limit of %d", before)
	}
}
