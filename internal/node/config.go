package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
	"gopkg.in/yaml.v3"

	"github.com/holter-ha/holter/internal/notify"
)

// ErrConfig marks every mistake in a config file: the caller exits with the code for invalid files.
var ErrConfig = errors.New("invalid config")

// Default ports of a monitor.
const (
	portAPI    = 7470
	portRaft   = 7471
	portNATS   = 7472
	portRoutes = 7473
)

// MonitorConfig is the file of one monitor. docs/samples/monitor.yaml explains each field.
type MonitorConfig struct {
	Name     string               `yaml:"name"`
	DataDir  string               `yaml:"data_dir"`
	Monitors map[string]Addresses `yaml:"monitors"`
	NATS     NATSConfig           `yaml:"nats"`
	TLS      TLSConfig            `yaml:"tls"`
	Notify   []notify.Channel     `yaml:"notify"`
	Disk     DiskConfig           `yaml:"disk"`
	Log      LogConfig            `yaml:"log"`
	// Join lets an empty data directory wait to be taken into a cluster that exists. It is a flag of the command line.
	Join bool `yaml:"-"`
}

// Addresses is where one monitor is reached.
type Addresses struct {
	Address string `yaml:"address"`
	API     int    `yaml:"api"`
	Raft    int    `yaml:"raft"`
	NATS    int    `yaml:"nats"`
	Routes  int    `yaml:"routes"`
}

// NATSConfig names the user's own NATS, or nothing for the embedded one.
type NATSConfig struct {
	URL URLs `yaml:"url"`
}

// DiskConfig says what a monitor keeps of the disk.
type DiskConfig struct {
	MinFree string `yaml:"min_free"`
	Ballast string `yaml:"ballast"`
}

// LogConfig says how a process logs to standard error.
type LogConfig struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// URLs is one URL or several with commas between.
type URLs string

// List returns the URLs.
func (u URLs) List() []string {
	return strings.FieldsFunc(string(u), func(r rune) bool { return r == ',' || r == ' ' })
}

// join makes host:port.
func join(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// apiURL is the base URL of a monitor's API.
func (c *MonitorConfig) apiURL(name string) string {
	a := c.Monitors[name]
	if c.TLS.Dir != "" {
		return "https://" + join(a.Address, a.API)
	}
	return "http://" + join(a.Address, a.API)
}

var (
	validName   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	unknownYAML = regexp.MustCompile(`line (\d+): field (\S+) not found in type \S+`)
	wrongYAML   = regexp.MustCompile(`line (\d+): cannot unmarshal (.*) into \S+`)
)

// read decodes a config file of one document into c. Nothing is ignored: a field that is not known is a mistake.
func read(path string, c any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(c); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: %s is empty", ErrConfig, path)
		}
		why := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "yaml: "), "unmarshal errors:\n  ")
		why = unknownYAML.ReplaceAllString(why, "line $1: unknown field $2")
		why = wrongYAML.ReplaceAllString(why, "line $1: $2 does not fit here")
		return fmt.Errorf("%w: %s: %s", ErrConfig, path, why)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %s holds a second document after ---", ErrConfig, path)
	}
	return nil
}

// ReadMonitorConfig reads and checks a monitor's file.
func ReadMonitorConfig(path string) (MonitorConfig, error) {
	var c MonitorConfig
	if err := read(path, &c); err != nil {
		return c, err
	}
	c.TLS.beside(path)
	if err := c.complete(); err != nil {
		return c, fmt.Errorf("%w: %s: %w", ErrConfig, path, err)
	}
	return c, nil
}

// complete fills in the defaults and checks the rest, all mistakes at once.
func (c *MonitorConfig) complete() error {
	var mistakes []error
	wrong := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	if !validName.MatchString(c.Name) {
		wrong("name %q: use lower-case letters, digits and '-', at most 63", c.Name)
	}
	if c.DataDir == "" {
		wrong("data_dir is missing: a folder that only this monitor writes to")
	}
	if _, listed := c.Monitors[c.Name]; !listed {
		wrong("monitors does not list %q itself: list every monitor, this one too", c.Name)
	}
	for name, a := range c.Monitors {
		if !validName.MatchString(name) {
			wrong("monitors: name %q: use lower-case letters, digits and '-', at most 63", name)
		}
		if net.ParseIP(a.Address) == nil {
			wrong("monitors.%s.address %q is not an IP address", name, a.Address)
		}
		for port, def := range map[*int]int{&a.API: portAPI, &a.Raft: portRaft, &a.NATS: portNATS, &a.Routes: portRoutes} {
			if *port == 0 {
				*port = def
			}
			if *port < 1 || *port > 65535 {
				wrong("monitors.%s: port %d is not between 1 and 65535", name, *port)
			}
		}
		c.Monitors[name] = a
	}
	if len(c.Monitors)%2 == 0 && len(c.Monitors) > 0 {
		wrong("monitors lists %d: an even number survives no more than one less; use 1, 3 or 5", len(c.Monitors))
	}
	if own := net.ParseIP(c.Monitors[c.Name].Address); own != nil && !own.IsLoopback() && c.TLS.Dir == "" {
		wrong("monitors.%s.address %s is not a loopback address, and without tls.dir whoever reaches these ports could start and stop everything; holter init makes certificates", c.Name, own)
	}
	if _, err := size(c.Disk.MinFree); err != nil {
		wrong("disk.min_free: %w", err)
	}
	if _, err := size(c.Disk.Ballast); err != nil {
		wrong("disk.ballast: %w", err)
	}
	return errors.Join(append(mistakes, c.NATS.check(), c.Log.check(), notify.Check(c.Notify))...)
}

// size reads "512MiB", "off" (-1) or "" (0, the default), in bytes.
func size(text string) (int64, error) {
	switch text {
	case "":
		return 0, nil
	case "off":
		return -1, nil
	}
	units := []struct {
		suffix string
		bytes  int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}}
	for _, unit := range units {
		if number, ok := strings.CutSuffix(text, unit.suffix); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 32)
			if err == nil && n > 0 {
				return n * unit.bytes, nil
			}
		}
	}
	return 0, fmt.Errorf("%q is not a size: write 64MiB, 1GiB or off", text)
}

func (l LogConfig) check() error {
	if l.Format != "" && l.Format != "json" && l.Format != "text" {
		return fmt.Errorf("log.format %q: use json or text", l.Format)
	}
	if _, err := zerolog.ParseLevel(l.Level); err != nil {
		return fmt.Errorf("log.level %q: use debug, info, warn or error", l.Level)
	}
	return nil
}

// Logger makes the process's logger.
func (l LogConfig) Logger(w io.Writer) zerolog.Logger {
	level, err := zerolog.ParseLevel(l.Level)
	if err != nil || l.Level == "" {
		level = zerolog.InfoLevel
	}
	if l.Format == "text" {
		w = zerolog.ConsoleWriter{Out: w, NoColor: true, TimeFormat: "15:04:05.000"}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}
