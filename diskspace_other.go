//go:build !unix

package main

// diskSpace is not known here; the store watches its disk by itself.
func diskSpace(string) (free, total uint64, ok bool) { return 0, 0, false }
