//go:build race

package procs

// raceDetector says that the tests look for data races, so that the programs that they start do too.
const raceDetector = true
