//go:build !race

package lighter

const raceDetector = false
