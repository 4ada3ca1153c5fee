//go:build !linux

package fence

import "os/exec"

// separate does nothing: sessions and process groups are not alike everywhere.
func separate(*exec.Cmd) {}

// killGroup and killMarked leave it to the end of the agent itself: what it has started cannot be found here.
func killGroup(int) error     { return nil }
func killMarked(string) error { return nil }
