package systemd

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// envQuote quotes a value as systemd reads it from an environment file.
var envQuote = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`")

// writeEnv writes the environment of the next start whole, or not at all.
func (d *Driver) writeEnv(name string, env map[string]string) error {
	if d.options.EnvDir == "" {
		return nil
	}
	var b strings.Builder
	for k, v := range env {
		if strings.ContainsAny(k+v, "\n\x00") {
			return fmt.Errorf("the environment variable %s holds a line break", k)
		}
		fmt.Fprintf(&b, "%s=\"%s\"\n", k, envQuote.Replace(v))
	}
	file := d.envFile(name)
	if err := os.MkdirAll(d.options.EnvDir, 0o755); err != nil { //nolint:gosec // its parents may be systemd's own; the files are not for all
		return err
	}
	if err := os.WriteFile(file+".new", []byte(b.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func (d *Driver) removeEnv(name string) error {
	if d.options.EnvDir == "" {
		return nil
	}
	if err := os.Remove(d.envFile(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// envFile of a unit. systemd knew the name, so it has no slash in it; path.Base keeps it so.
func (d *Driver) envFile(name string) string {
	return filepath.Join(d.options.EnvDir, path.Base(name)+".env")
}
