package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/holter-ha/holter/actions"
)

// unit is what systemd says of a unit.
type unit struct {
	active, sub, file string
	result            string // of a service; empty for others
	cgroup            string // the directory; empty: it has none
	populated         bool   // there are processes in cgroup
}

// look asks systemd for a unit.
func (d *Driver) look(ctx context.Context, name string) (unit, error) {
	c, err := d.bus.get(ctx)
	if err != nil {
		return unit{}, err
	}
	props, err := c.GetAllPropertiesContext(ctx, name)
	if err != nil {
		return unit{}, err
	}
	text := func(key string) string {
		s, _ := props[key].(string) // what is not there is empty
		return s
	}
	u := unit{active: text("ActiveState"), sub: text("SubState"), file: text("UnitFileState"), result: text("Result")}
	switch load := text("LoadState"); {
	case load == "not-found" && u.active == "inactive":
		return unit{}, errUnknownUnit
	case load == "" || u.active == "":
		return unit{}, errors.New("systemd answers without the state of the unit")
	}
	if group := text("ControlGroup"); group != "" {
		u.cgroup = filepath.Join(d.options.CgroupRoot, group)
		u.populated, err = d.populated(u.cgroup)
	}
	return u, err
}

func (u unit) status() actions.Status {
	// enabled-runtime is forgotten at the next boot, but being wrong this way only warns.
	st := actions.Status{Condition: actions.Unknown, Autostart: strings.HasPrefix(u.file, "enabled")}
	switch u.active {
	case "active", "reloading", "refreshing":
		st.Condition = actions.Running
	case "inactive", "failed":
		if !u.populated {
			st.Condition = actions.Stopped
		}
	}
	if u.active != "active" && u.active != "inactive" || st.Condition == actions.Unknown {
		st.Detail = u.words()
	}
	return st
}

// words describes a unit as systemctl does, and what it left over.
func (u unit) words() string {
	w := u.active + " (" + u.sub + ")"
	if u.active == "failed" && u.result != "" {
		w += ", result " + u.result
	}
	if u.populated && (u.active == "inactive" || u.active == "failed") {
		w += ", but processes are left"
	}
	return w
}

// populated reports whether a cgroup holds any process. One that is not there holds none, where cgroups are seen at all.
func (d *Driver) populated(cgroup string) (bool, error) {
	b, err := os.ReadFile(filepath.Join(cgroup, "cgroup.events"))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
		if _, err := os.Stat(filepath.Join(d.options.CgroupRoot, "cgroup.controllers")); err != nil {
			return false, fmt.Errorf("%s shows no cgroups v2, so nobody can tell what is left of a unit: %w", d.options.CgroupRoot, err)
		}
		return false, nil
	}
	return strings.Contains(string(b), "populated 1"), err
}
