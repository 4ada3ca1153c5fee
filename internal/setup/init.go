package setup

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/identity"
)

// Default ports of a monitor that others must know before they have spoken with one.
const (
	portAPI  = 7470
	portNATS = 7472
)

// Folders of a cluster beside those of the monitors.
const (
	dirRoot  = "ca"
	dirAdmin = "admin"
	dirTLS   = "tls"
)

// firstUser is the user whose certificate a new cluster comes with.
const firstUser = "admin"

// validName is the rule for names of monitors, hosts and clusters. They go into file names and YAML.
var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

const nameRule = "use lower-case letters, digits and '-', at most 63"

// Cluster is what a new cluster is made of.
type Cluster struct {
	Name     string
	Monitors []Monitor
}

// Monitor is one voting monitor of a new cluster.
type Monitor struct {
	Name    string
	Address string // an IP address
}

// ParseMonitor reads NAME=ADDRESS.
func ParseMonitor(text string) (Monitor, error) {
	name, address, ok := strings.Cut(text, "=")
	if !ok {
		return Monitor{}, fmt.Errorf("--monitor %q: write NAME=ADDRESS, such as m1=10.0.0.1", text)
	}
	return Monitor{Name: name, Address: address}, nil
}

// check finds all mistakes at once.
func (c Cluster) check() error {
	var mistakes []error
	wrong := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	if !validName.MatchString(c.Name) {
		wrong("cluster %q: %s", c.Name, nameRule)
	}
	if !slices.Contains([]int{1, 3, 5}, len(c.Monitors)) {
		wrong("there are %d monitors: an even number survives no more than one less; use 1, 3 or 5", len(c.Monitors))
	}
	names, addresses := map[string]bool{}, map[string]bool{}
	for _, m := range c.Monitors {
		ip := net.ParseIP(m.Address)
		switch {
		case !validName.MatchString(m.Name):
			wrong("monitor %q: %s", m.Name, nameRule)
		case reserved[m.Name]:
			wrong("monitor %q: a folder of the cluster has this name; choose another one", m.Name)
		case names[m.Name]:
			wrong("monitor %q is named twice", m.Name)
		case ip == nil || ip.IsUnspecified():
			wrong("monitor %s: address %q is not an IP address that others reach it at", m.Name, m.Address)
		case addresses[ip.String()]:
			wrong("monitor %s: another monitor has the address %s", m.Name, m.Address)
		}
		names[m.Name], addresses[ip.String()] = true, true
	}
	return errors.Join(mistakes...)
}

// reserved are the folders that no monitor's may be.
var reserved = map[string]bool{dirRoot: true, dirAdmin: true, "systemd": true, "plans": true}

//go:embed files
var files embed.FS

// page is a file of a cluster that a template makes.
type page struct{ template, path string }

// pages are the files of a cluster, beside those of each monitor.
var pages = []page{
	{"README.md", "README.md"},
	{"gitignore", ".gitignore"},
	{"workflow.yaml", ".github/workflows/holter.yaml"},
	{"inventory.yaml", "plans/inventory.yaml"},
	{"restart-elsewhere.yaml", "plans/restart-elsewhere.yaml"},
	{"holter-monitor.service", "systemd/holter-monitor.service"},
	{"holter-agent.service", "systemd/holter-agent.service"},
	{"holter-guard.service", "systemd/holter-guard.service"},
}

var templates = template.Must(template.New("").Funcs(template.FuncMap{"quote": strconv.Quote}).ParseFS(files, "files/*"))

func render(name string, data any) ([]byte, error) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Init writes the folder of a new cluster: its root, what each monitor needs, the first user's certificate, units, and
// files to begin with. The folder must not be there, or be empty.
func Init(dir string, c Cluster, now time.Time) error {
	if err := c.check(); err != nil {
		return &Error{Exit: console.ExitInvalid, Message: err.Error() + "; nothing was written"}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return failed(dir, err)
	}
	if err := vacant(dir); err != nil {
		return err
	}
	// Beside the folder, so that one rename puts it in place.
	temporary, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+"-*")
	if err != nil {
		return failed(dir, err)
	}
	defer func() { _ = os.RemoveAll(temporary) }() // nothing is there once it has its name
	if err := c.write(temporary, now); err != nil {
		return failed(dir, err)
	}
	// An empty folder makes room; one that is empty no more stays.
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed(dir, err)
	}
	if err := os.Rename(temporary, dir); err != nil {
		return failed(dir, err)
	}
	return nil
}

func failed(dir string, err error) error {
	return &Error{Exit: console.ExitFailed, Message: fmt.Sprintf("write %s: %v; nothing was written", dir, err)}
}

// vacant refuses a folder in which something is.
func vacant(dir string) error {
	if here, err := os.Getwd(); err == nil && here == dir {
		return &Error{
			Exit: console.ExitInvalid, Message: "the present folder cannot be replaced; nothing was written",
			Hint: "name a new folder, such as prod/",
		}
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || len(entries) > 0 {
		return &Error{
			Exit: console.ExitInvalid, Message: dir + " is not an empty folder, and nothing is ever written over; nothing was written",
			Hint: "name a new folder: keys that are in use cannot be made again",
		}
	}
	return nil
}

func (c Cluster) write(dir string, now time.Time) error {
	root, err := identity.NewRoot(c.Name, now)
	if err != nil {
		return err
	}
	ca := filepath.Join(dir, dirRoot)
	if err := os.Mkdir(ca, 0o700); err != nil {
		return err
	}
	if err := root.Save(filepath.Join(ca, identity.RootFile), filepath.Join(ca, identity.RootKeyFile)); err != nil {
		return err
	}
	for _, m := range c.Monitors {
		if err := c.writeMonitor(filepath.Join(dir, m.Name), root, m, now); err != nil {
			return err
		}
	}
	if err := c.writeAdmin(filepath.Join(dir, dirAdmin), root, now); err != nil {
		return err
	}
	for _, p := range pages {
		if err := writePage(filepath.Join(dir, p.path), p.template, c); err != nil {
			return err
		}
	}
	example := agentFile{Example: true, Host: "host-1", NATS: strings.Join(c.urls("tls", portNATS), ","), API: c.urls("https", portAPI)}
	if err := writePage(filepath.Join(dir, agentConfig), agentConfig, example); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755) //nolint:gosec // what is secret lies in folders of its own below
}

// writeMonitor makes a monitor's keys, with an issuer that the root signs, and its config file.
func (c Cluster) writeMonitor(dir string, root *identity.Authority, m Monitor, now time.Time) error {
	tls := filepath.Join(dir, dirTLS)
	if err := os.MkdirAll(tls, 0o700); err != nil {
		return err
	}
	issuer, err := root.NewIssuer(m.Name, now)
	if err != nil {
		return err
	}
	if err := issuer.Save(filepath.Join(tls, identity.IssuerFile), filepath.Join(tls, identity.IssuerKeyFile)); err != nil {
		return err
	}
	holder := identity.ID{Kind: identity.Monitor, Name: m.Name}
	if err := writeHolder(tls, issuer, holder, []string{m.Address}, now, identity.LeafLife); err != nil {
		return err
	}
	return writePage(filepath.Join(dir, "monitor.yaml"), "monitor.yaml", struct {
		Cluster
		Monitor Monitor
	}{c, m})
}

// writeAdmin makes the first user's keys, and says where the API is. The root signs them itself: they outlive any monitor.
func (c Cluster) writeAdmin(dir string, root *identity.Authority, now time.Time) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	servers := strings.Join(c.urls("https", portAPI), "\n") + "\n"
	if err := identity.WriteFile(filepath.Join(dir, "servers"), []byte(servers)); err != nil {
		return err
	}
	return writeHolder(dir, root, identity.ID{Kind: identity.User, Name: firstUser}, nil, now, identity.UserLife)
}

// writeHolder makes a key and its certificate.
func writeHolder(dir string, a *identity.Authority, id identity.ID, addresses []string, now time.Time, life time.Duration) error {
	key, err := identity.NewKey()
	if err != nil {
		return err
	}
	secret, err := identity.EncodeKey(key)
	if err != nil {
		return err
	}
	cert, err := a.Issue(id, key.Public(), addresses, now, life)
	if err != nil {
		return err
	}
	return errors.Join(
		identity.WriteFile(filepath.Join(dir, identity.KeyFile), secret),
		identity.WriteFile(filepath.Join(dir, identity.CertFile), cert),
		identity.WriteFile(filepath.Join(dir, identity.RootFile), a.Root()),
	)
}

// urls are those of a port of all monitors.
func (c Cluster) urls(scheme string, port int) []string {
	var urls []string
	for _, m := range c.Monitors {
		urls = append(urls, scheme+"://"+net.JoinHostPort(m.Address, strconv.Itoa(port)))
	}
	return urls
}

// writePage writes a file without secrets from a template.
func writePage(path, name string, data any) error {
	text, err := render(name, data)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // what holds secrets has a folder of its own
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // it holds no secret
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}
