package testbed

import (
	"bufio"
	_ "embed"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// BMCUser is the one user of every BMC.
	BMCUser = "admin"
	// BMCPassword is this user's password.
	BMCPassword = "correct-horse"
	// bmcPoll is how long a BMC may take to answer that it is up, and the time until it is asked again.
	bmcPoll = 10 * time.Millisecond
)

// bmcScript is how the simulator asks the test.
//
//go:embed bmc.sh
var bmcScript string

// Power is what a BMC switches. Its functions are called by one goroutine, while the BMC answers nobody.
type Power struct {
	On  func() bool         // whether the host has power
	Set func(on bool) error // an error is the BMC's answer that it could not
}

// BMC is a host's management controller: OpenIPMI's simulator, which speaks IPMI 2.0 on a loopback address of its own.
type BMC struct {
	addr  netip.AddrPort
	dir   string
	power Power
	cmd   *exec.Cmd
	died  <-chan struct{}
	asked net.Listener
}

// RequireBMC skips the test unless this machine can run a BMC.
func RequireBMC(t testing.TB) {
	t.Helper()
	for _, program := range []string{"ipmi_sim", "ipmitool", "bash"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(LeftOut, "a BMC needs", program, "(packages openipmi, ipmitool, bash)")
		}
	}
}

// RequireFenceAgents skips the test unless this machine has the agents.
func RequireFenceAgents(t testing.TB, agents ...string) {
	t.Helper()
	for _, agent := range agents {
		if _, err := os.Stat(filepath.Join("/usr/sbin", agent)); err != nil {
			t.Skip(LeftOut, "this test needs", agent, "(package fence-agents)")
		}
	}
}

// StartBMC starts a BMC and waits until it answers; it is gone when the test ends. It calls RequireBMC first.
func StartBMC(t testing.TB, p Power) *BMC {
	t.Helper()
	RequireBMC(t)
	dir, err := os.MkdirTemp("", "holter-bmc-")
	if err != nil {
		t.Fatal(err)
	}
	b := &BMC{dir: dir, power: p}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		if b.cmd != nil && b.cmd.Process != nil {
			b.Crash()
		}
		if b.asked != nil {
			_ = b.asked.Close() // what it was asked meanwhile has nobody to be told
		}
		serving.Wait()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if b.asked, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	serving.Go(b.serve)
	if err := b.boot(); err != nil {
		t.Fatalf("start a BMC: %v", err)
	}
	b.awaitUp(t)
	return b
}

// boot writes the simulator's files and starts it.
func (b *BMC) boot() error {
	// The simulator takes no socket from us and does not tell which port it got. The port is free on an address that nobody
	// else uses: one made of this process's id and of a port that the kernel has just given to us.
	port := b.asked.Addr().(*net.TCPAddr).Port
	ip := netip.AddrFrom4([4]byte{127, byte(1 + os.Getpid()%254), byte(port >> 8), byte(1 + port%254)})
	free, err := net.ListenPacket("udp4", netip.AddrPortFrom(ip, 0).String())
	if err != nil {
		return err
	}
	b.addr = free.LocalAddr().(*net.UDPAddr).AddrPort()
	if err := free.Close(); err != nil {
		return err
	}
	lan := fmt.Sprintf(`name "bmc"
set_working_mc 0x20
  startlan 1
    addr %s %d
    priv_limit admin
    allowed_auths_admin md5
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "bash %s 127.0.0.1 %d"
  user 2 true %q %q admin 10 md5
`, b.addr.Addr(), b.addr.Port(), filepath.Join(b.dir, "bmc.sh"), port, BMCUser, BMCPassword)
	files := map[string]string{
		"bmc.sh":   bmcScript,
		"lan.conf": lan,
		"sim.emu":  "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\nmc_enable 0x20\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	console, err := os.Create(filepath.Join(b.dir, "console"))
	if err != nil {
		return err
	}
	defer func() { _ = console.Close() }()
	b.cmd = exec.Command("ipmi_sim", "-n", "-c", "lan.conf", "-f", "sim.emu", "-s", b.dir)
	b.cmd.Dir, b.cmd.Stdout, b.cmd.Stderr = b.dir, console, console
	b.died, err = startTied(b.cmd)
	return err
}

// presencePing asks whoever speaks RMCP whether it is there (ASF 2.0, message type 80h).
var presencePing = []byte{6, 0, 0xff, 6, 0, 0, 0x11, 0xbe, 0x80, 0, 0, 0}

func (b *BMC) awaitUp(t testing.TB) {
	t.Helper()
	conn, err := net.Dial("udp4", b.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	limit := time.Now().Add(upLimit)
	for pong := make([]byte, 64); ; {
		_, sendErr := conn.Write(presencePing)
		if err := conn.SetReadDeadline(time.Now().Add(bmcPoll)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(pong); sendErr == nil && err == nil && n > 0 {
			return
		}
		select {
		case <-b.died:
			t.Fatalf("the BMC died while it came up: %s", b.console())
		case <-time.After(bmcPoll):
		}
		if time.Now().After(limit) {
			t.Fatalf("the BMC is not up after %v: %s", upLimit, b.console())
		}
	}
}

func (b *BMC) port() string { return strconv.Itoa(int(b.addr.Port())) }

func (b *BMC) console() string {
	text, err := os.ReadFile(filepath.Join(b.dir, "console"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// serve answers the simulator's script, one call after the other, until the listener is closed.
func (b *BMC) serve() {
	for {
		conn, err := b.asked.Accept()
		if err != nil {
			return
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err == nil {
			_, _ = conn.Write([]byte(b.answer(strings.Fields(line)))) // a script that is gone wants no answer
		}
		_ = conn.Close()
	}
}

// answer does what the simulator asks for: get NAME..., set NAME VALUE..., check NAME VALUE...
func (b *BMC) answer(words []string) string {
	if len(words) == 0 {
		return "error\n"
	}
	said := "ok\n"
	switch words[0] {
	case "get":
		for _, name := range words[1:] {
			value := 0
			if name == "power" && b.power.On() {
				value = 1
			}
			said += fmt.Sprintf("%s:%d\n", name, value)
		}
	case "set":
		for i := 1; i+1 < len(words); i += 2 {
			if err := b.set(words[i], words[i+1]); err != nil {
				return "error\n"
			}
		}
	}
	return said
}

func (b *BMC) set(name, value string) error {
	switch name {
	case "power":
		return b.power.Set(value == "1")
	case "reset":
		if err := b.power.Set(false); err != nil {
			return err
		}
		return b.power.Set(true)
	}
	return nil
}

// FenceOptions are the options by which fence_ipmilan reaches the BMC, but for the password.
func (b *BMC) FenceOptions() map[string]string {
	return map[string]string{
		"ip": b.addr.Addr().String(), "ipport": b.port(), "username": BMCUser,
		"lanplus": "1", "cipher": "3", "power_wait": "0",
	}
}

// Freeze has the BMC answer nobody until Thaw, as one that hangs or cannot be reached.
func (b *BMC) Freeze() error { return b.cmd.Process.Signal(syscall.SIGSTOP) }

// Thaw has the BMC answer again.
func (b *BMC) Thaw() error { return b.cmd.Process.Signal(syscall.SIGCONT) }

// Crash ends the BMC for good, as the loss of its own power does.
func (b *BMC) Crash() {
	_ = b.cmd.Process.Kill() // fails only if it is dead already
	<-b.died
}
