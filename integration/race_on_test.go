//go:build race

package integration

// raceDetector says that the tests, and the program that they start, look for data races.
const raceDetector = true
