//go:build !linux

package replay

import "time"

func sharpen() {}

// sleepThread sleeps as exactly as the runtime can.
func sleepThread(d time.Duration) { time.Sleep(d) }
