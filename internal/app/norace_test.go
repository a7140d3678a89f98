//go:build !race

package app

// raceDetector is off.
const raceDetector = false
