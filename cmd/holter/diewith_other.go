//go:build !linux

package main

// dieWith does nothing: the demo, whose children need it, runs on Linux only.
func dieWith() {}
