// Package control holds what a test and the init of its guest tell each other: the file that the init reads when it boots,
// and the lines on the serial port between the two.
//
// Both sides are built from one source tree for one test, so there are no versions. The types are plain data.
package control

// Paths in the guest.
const (
	ConfigFile = "/etc/guest.json"
	ModuleDir  = "/lib/guest-modules" // the kernel's modules, named in the order in which they are loaded
	Port       = "/dev/ttyS1"
	Disk       = "/dev/vda" // if it has one
	Data       = "/data"    // where the disk is, or else memory
	Cgroup     = "/sys/fs/cgroup/work"
)

// HostAddress is where the guest reaches the loopback of the machine that it runs on; Address is the guest's own.
const (
	HostAddress = "10.0.2.2"
	Address     = "10.0.2.15"
)

// Config is what the init does at each boot.
type Config struct {
	Forward  []Forward `json:"forward"`
	Commands []Command `json:"commands"`
}

// Forward leads an address of the guest's loopback to a port of the loopback of the machine that it runs on.
type Forward struct {
	Address string `json:"address"`
	Port    int    `json:"port"`
}

// Command is a program that runs from boot on. What it writes goes to the console, its name before each line.
type Command struct {
	Name    string   `json:"name"`
	Argv    []string `json:"argv"`
	Env     []string `json:"env"`
	Restart bool     `json:"restart"` // a second after it ended
}

// Request is one line from the test. A guest answers only what was asked of its present boot: what was asked of the boot
// before it, and came late, is dropped.
type Request struct {
	ID   uint64 `json:"id"`
	Boot string `json:"boot"`
	Line string `json:"line"`
}

// Reply is one line from the guest. The one with the ID 0 begins a boot.
type Reply struct {
	ID   uint64 `json:"id"`
	Boot string `json:"boot"`
	Out  string `json:"out"`
	Err  string `json:"err"`
}
