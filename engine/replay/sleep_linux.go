package replay

import (
	"time"

	"golang.org/x/sys/unix"
)

// sharpen lets the calling thread's sleeps end at their time: without it the kernel joins those that end within 50 us.
func sharpen() {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // a blunt thread only sleeps longer
}

// sleepThread sleeps in the kernel, which is more exact than the runtime's timers.
func sleepThread(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil) // a signal ends it early: whoever sleeps looks at the clock again
}
