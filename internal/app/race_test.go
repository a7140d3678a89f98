//go:build race

package app

// raceDetector multiplies time and memory.
const raceDetector = true
