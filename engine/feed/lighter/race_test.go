//go:build race

package lighter

// raceDetector tells that the reference, which is slow by intent, is another ten times slower.
const raceDetector = true
