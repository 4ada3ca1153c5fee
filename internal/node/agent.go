package node

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/command"
	"github.com/holter-ha/holter/actions/systemd"
	"github.com/holter-ha/holter/agent"
	"github.com/holter-ha/holter/agent/guard"
	"github.com/holter-ha/holter/internal/bus"
	"github.com/holter-ha/holter/internal/identity"
)

// AgentConfig is the file of one host's agent. docs/samples/agent.yaml explains each field.
type AgentConfig struct {
	Name     string                     `yaml:"name"`
	DataDir  string                     `yaml:"data_dir"`
	NATS     NATSConfig                 `yaml:"nats"`
	API      []string                   `yaml:"api"` // of the monitors, where the certificate is renewed
	TLS      TLSConfig                  `yaml:"tls"`
	Commands map[string]command.Command `yaml:"commands"`
	Cgroup   string                     `yaml:"cgroup"`
	Systemd  SystemdConfig              `yaml:"systemd"`
	RunDir   string                     `yaml:"run_dir"`
	Watchdog WatchdogConfig             `yaml:"watchdog"`
	Log      LogConfig                  `yaml:"log"`
}

// WatchdogConfig says which watchdog the guard arms, on a host that fences itself by it.
type WatchdogConfig struct {
	Device string `yaml:"device"`
}

// SystemdConfig says how systemd is reached.
type SystemdConfig struct {
	Bus string `yaml:"bus"`
}

// ReadAgentConfig reads and checks an agent's file.
func ReadAgentConfig(path string) (AgentConfig, error) {
	var c AgentConfig
	if err := read(path, &c); err != nil {
		return c, err
	}
	c.TLS.beside(path)
	if err := c.check(); err != nil {
		return c, fmt.Errorf("%w: %s: %w", ErrConfig, path, err)
	}
	return c, nil
}

// check fills in the defaults and finds all mistakes at once.
func (c *AgentConfig) check() error {
	var mistakes []error
	if !validName.MatchString(c.Name) {
		mistakes = append(mistakes, fmt.Errorf("name %q: use the host's name in the inventory: lower-case letters, digits and '-', at most 63", c.Name))
	}
	if c.DataDir == "" {
		mistakes = append(mistakes, errors.New("data_dir is missing: a folder that only this agent writes to"))
	}
	c.RunDir = cmp.Or(c.RunDir, filepath.Join(envDir, c.Name))
	c.Watchdog.Device = cmp.Or(c.Watchdog.Device, guard.DefaultDevice)
	if !filepath.IsAbs(c.RunDir) {
		mistakes = append(mistakes, fmt.Errorf("run_dir %q is not an absolute path: the agent and the guard would look for it in different places", c.RunDir))
	}
	if len(c.NATS.URL.List()) == 0 {
		mistakes = append(mistakes, errors.New("nats.url is missing: the monitors' NATS, as nats://127.0.0.1:7472"))
	}
	if c.TLS.Dir != "" && len(c.API) == 0 {
		mistakes = append(mistakes, errors.New("api is missing: the monitors' API, where the certificate is renewed, as https://10.0.0.1:7470"))
	}
	for _, server := range c.API {
		if u, err := url.Parse(server); err != nil || u.Host == "" || u.Scheme != "https" {
			mistakes = append(mistakes, fmt.Errorf("api: %q is not a URL: write https://10.0.0.1:7470", server))
		}
	}
	return errors.Join(append(mistakes, c.NATS.check(), c.Log.check())...)
}

// check refuses a NATS that others could listen in on, or speak to: only loopback goes without TLS.
func (c NATSConfig) check() error {
	var mistakes []error
	for _, text := range c.URL.List() {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			mistakes = append(mistakes, fmt.Errorf("nats.url %q is not a URL: write nats://127.0.0.1:7472", text))
			continue
		}
		ip := net.ParseIP(u.Hostname())
		if loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback(); !loopback && u.Scheme != "tls" {
			mistakes = append(mistakes, fmt.Errorf("nats.url %s: without TLS only a loopback address is safe: whoever reaches this NATS can start and stop everything; use tls://", u.Redacted()))
		}
	}
	return errors.Join(mistakes...)
}

// envDir is where systemd units find what they run under: EnvironmentFile=-/run/holter/%n.env.
const envDir = "/run/holter"

// AgentNode is one agent process.
type AgentNode struct {
	agent   *agent.Agent
	pair    *bus.Pair
	log     zerolog.Logger
	party   *identity.Party // nil without TLS
	servers []string
}

// StartAgent opens the journal and reaches for the monitors. What it returns must be Run.
func StartAgent(c AgentConfig, version string, log zerolog.Logger) (*AgentNode, error) {
	bootID, err := BootID()
	if err != nil {
		return nil, fmt.Errorf("read the machine's boot id: %w", err)
	}
	var boot [16]byte
	if n, err := hex.Decode(boot[:], []byte(bootID)); err != nil || n != len(boot) {
		return nil, fmt.Errorf("the machine's boot id %q is not 32 hex digits", bootID)
	}
	commandsDir := filepath.Join(c.DataDir, "commands")
	commands, err := command.New(command.Options{Commands: c.Commands, Dir: commandsDir, Cgroup: c.Cgroup})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	machine, err := guard.NewMachine(commandsDir)
	if err != nil {
		return nil, fmt.Errorf("prepare to fence this host: %w", err)
	}
	options := bus.Options{Name: c.Name, URLs: c.NATS.URL.List(), Logger: log}
	party, err := partyOf(c, &options)
	if err != nil {
		return nil, err
	}
	pair, err := bus.DialPair(options)
	if err != nil {
		return nil, err
	}
	own := agent.Options{
		Host: c.Name, Boot: boot, Dir: c.DataDir, RunDir: c.RunDir, Bus: pair, Kill: machine, Boottime: Boottime, Log: log, Version: version,
		Drivers: map[string]actions.Driver{
			command.Kind: commands,
			systemd.Kind: systemd.New(systemd.Options{Address: c.Systemd.Bus, EnvDir: envDir}),
		},
	}
	if party != nil {
		own.Expires = party.Expires
	}
	made, err := agent.New(own)
	if err != nil {
		pair.Close()
		return nil, err
	}
	return &AgentNode{agent: made, pair: pair, log: log, party: party, servers: c.API}, nil
}

// Run is the agent's life until ctx ends. The workloads go on.
func (n *AgentNode) Run(ctx context.Context) error {
	defer n.pair.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.agent.Run(ctx) })
	group.Go(func() error { return n.renew(ctx) })
	group.Go(func() error {
		return tellSystemd(ctx, n.agent.Alive, func(err error) { n.log.Warn().Err(err).Msg("systemd was not told") })
	})
	return group.Wait()
}
