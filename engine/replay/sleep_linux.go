package replay

import (
	"syscall"
	"time"
)

// setTimerSlack is PR_SET_TIMERSLACK of prctl(2).
const setTimerSlack = 29

// sharpen lets the calling thread's sleeps end at their time: without it the kernel joins those that end within 50 us.
func sharpen() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, 1, 0) // a blunt thread only sleeps longer
}

// sleepThread sleeps in the kernel, which is more exact than the runtime's timers.
func sleepThread(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&ts, nil) // a signal ends it early: whoever sleeps looks at the clock again
}
