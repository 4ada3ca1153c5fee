package demo

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"

	"github.com/holter-ha/holter/console"
)

// The names of what the demo is made of. The inventory's file says how they hang together.
var (
	monitorNames  = []string{"m1", "m2", "m3"}
	hostNames     = []string{"ams-1", "ams-2", "ams-3", "fra-1", "fra-2", "fra-3"}
	workloadNames = []string{"db", "api", "web", "front"}
)

// ports are what listens, as offsets from the place's first port.
var ports = map[string]int{"monitor-api": 0, "raft": 1, "nats": 2, "routes": 3, "db": 10, "api": 11, "web": 12, "front": 13}

const (
	firstPort   = 7470
	blockTries  = 64
	portStep    = 20
	frontNumber = 100 // last byte of the service address
)

// What the environment of every child says: the process that it must not outlive, which package main sees to, and the machine
// that it is part of.
const (
	dieWithEnv = "HOLTER_DIE_WITH"
	machineEnv = "HOLTER_DEMO_MACHINE"
)

// machine is a monitor or a host: something with an address that is killed and started as one.
type machine struct {
	Place   *place
	Name    string
	Site    string // of a host
	Address string
}

// isHost tells a host from a monitor.
func (m machine) isHost() bool { return m.Site != "" }

// DataDir is where the machine keeps what survives it.
func (m machine) DataDir() string { return filepath.Join(m.Place.Dir, m.Name) }

// RunDir is where agent and guard meet. It survives a kill: all machines of a demo are one, and it was not started anew.
func (m machine) RunDir() string { return filepath.Join(m.Place.Dir, m.Name+".run") }

// Env is what the environment of each of the machine's processes holds. No other machine's does.
func (m machine) Env() map[string]string {
	return map[string]string{dieWithEnv: strconv.Itoa(m.Place.PID), machineEnv: m.DataDir()}
}

// Commands are the workloads as the agent's file lists them.
func (m machine) Commands() map[string][]string {
	commands := map[string][]string{}
	for _, w := range workloadNames {
		commands[w] = []string{m.Place.Exe, "demo", "workload", w, "--listen", m.Place.Listen(w, m.Address), "--names", m.Place.Names()}
	}
	return commands
}

// config and log are paths of files.
func (m machine) config() string { return filepath.Join(m.Place.Dir, m.Name+".yaml") }
func (m machine) log() string    { return filepath.Join(m.Place.Dir, m.Name+".log") }

// place is where one demo lives: its folder, its addresses and its ports. It is immutable.
type place struct {
	Dir      string // of this demo only
	Exe      string // the program that children run
	PID      int    // the process that they die with
	Monitors []machine
	Hosts    []machine
	block    string // the first three bytes of all its addresses
	port     int
}

// newPlace finds a block of loopback addresses where nobody listens on the ports that the demo needs.
func newPlace(dir, exe string, pid int) (*place, error) {
	var busy error
	for try := range blockTries {
		// Neighbours in time have neighbouring pids, so that two demos try different blocks first.
		n := (pid + try*97) % (200 * 256)
		p := &place{
			Dir: dir, Exe: exe, PID: pid, block: fmt.Sprintf("127.%d.%d.", 16+n/256, n%256), port: firstPort + try*portStep,
		}
		p.settle()
		if busy = p.free(); busy == nil {
			return p, nil
		}
	}
	return nil, fmt.Errorf("find free loopback addresses and ports: %w", busy)
}

// settle gives everybody an address.
func (p *place) settle() {
	for i, name := range monitorNames {
		p.Monitors = append(p.Monitors, machine{Place: p, Name: name, Address: p.block + strconv.Itoa(1+i)})
	}
	for i, name := range hostNames {
		site, _, _ := strings.Cut(name, "-")
		p.Hosts = append(p.Hosts, machine{Place: p, Name: name, Site: site, Address: p.block + strconv.Itoa(11+i)})
	}
}

// free tries every address and port once.
func (p *place) free() error {
	var addresses []string
	for _, m := range p.Monitors {
		for _, port := range []string{"monitor-api", "raft", "nats", "routes"} {
			addresses = append(addresses, p.at(m.Address, port))
		}
	}
	for _, h := range p.Hosts {
		for _, workload := range workloadNames {
			addresses = append(addresses, p.Listen(workload, h.Address))
		}
	}
	for _, address := range addresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (p *place) at(address, port string) string {
	return net.JoinHostPort(address, strconv.Itoa(p.Port(port)))
}

// Port is the number of a port.
func (p *place) Port(name string) int { return p.port + ports[name] }

// Front is the shop's service address.
func (p *place) Front() string { return p.at(p.block+strconv.Itoa(frontNumber), "front") }

// Listen is where a workload listens when it runs on the host with this address. The front has an address of its own, that
// moves with it.
func (p *place) Listen(workload, address string) string {
	if workload == "front" {
		return p.Front()
	}
	return p.at(address, workload)
}

// Names is the folder where the workloads find each other.
func (p *place) Names() string { return filepath.Join(p.Dir, "names") }

// NATS lists the monitors' NATS.
func (p *place) NATS() string {
	var urls []string
	for _, m := range p.Monitors {
		urls = append(urls, "nats://"+p.at(m.Address, "nats"))
	}
	return strings.Join(urls, ",")
}

// servers lists the base URLs of the monitors' API.
func (p *place) servers() []string {
	var urls []string
	for _, m := range p.Monitors {
		urls = append(urls, p.server(m))
	}
	return urls
}

func (p *place) server(m machine) string { return "http://" + p.at(m.Address, "monitor-api") }

// machine finds a monitor or a host.
func (p *place) machine(name string) (machine, bool) {
	for _, m := range append(p.Monitors[:len(p.Monitors):len(p.Monitors)], p.Hosts...) {
		if m.Name == name {
			return m, true
		}
	}
	return machine{}, false
}

//go:embed files/*.yaml
var texts embed.FS

// write writes the config files of all machines and makes the folder of names.
func (p *place) write() error {
	var failed []error
	for file, machines := range map[string][]machine{"monitor.yaml": p.Monitors, "agent.yaml": p.Hosts} {
		for _, m := range machines {
			text, err := fill(file, m)
			if err == nil {
				err = os.WriteFile(m.config(), []byte(text), 0o600)
			}
			failed = append(failed, err)
		}
	}
	return errors.Join(append(failed, os.Mkdir(p.Names(), 0o700))...)
}

// files are the inventory and the plan, as they are applied.
func (p *place) files() ([]console.File, error) {
	var files []console.File
	for _, name := range []string{"inventory.yaml", "shop-dr.yaml"} {
		text, err := fill(name, p)
		if err != nil {
			return nil, err
		}
		files = append(files, console.File{Name: name, Text: text})
	}
	return files, nil
}

// fill makes a file from its template.
func fill(name string, data any) (string, error) {
	t, err := template.New(name).Delims("<<", ">>").ParseFS(texts, "files/"+name)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = t.Execute(&b, data)
	return b.String(), err
}
