package setup_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/identity"
	"github.com/holter-ha/holter/internal/setup"
	"github.com/holter-ha/holter/plans"
)

var update = flag.Bool("update", false, "write the golden files anew")

var prod = setup.Cluster{Name: "prod", Monitors: []setup.Monitor{{"m1", "10.0.0.1"}, {"m2", "10.0.0.2"}, {"m3", "fd00::3"}}}

func initialize(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "prod")
	if err := setup.Init(dir, prod, time.Now()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// walk calls f for each file and folder below a folder.
func walk(t *testing.T, dir string, f func(path string, info fs.FileInfo)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := e.Info()
		if err == nil {
			name, _ := filepath.Rel(dir, path)
			f(name, info)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestTree holds the whole folder against testdata: the names and modes of all, and the content of all but keys.
func TestTree(t *testing.T) {
	dir := initialize(t)
	var tree strings.Builder
	walk(t, dir, func(name string, info fs.FileInfo) {
		tree.WriteString(info.Mode().String() + " " + name + "\n")
		if info.IsDir() || strings.HasSuffix(name, ".crt") || strings.HasSuffix(name, ".key") {
			return
		}
		golden(t, filepath.Join("prod", strings.ReplaceAll(name, ".git", "dotgit")), read(t, filepath.Join(dir, name)))
	})
	golden(t, "tree.txt", tree.String())
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(entries) != 1 {
		t.Errorf("found %v, %v beside the folder", entries, err)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(got, read(t, path)); diff != "" {
		t.Errorf("%s (-got +want):\n%s", name, diff)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCertificatesFit(t *testing.T) {
	dir := initialize(t)
	root := filepath.Join(dir, "ca", identity.RootFile)
	if _, err := identity.LoadAuthority(root, filepath.Join(dir, "ca", identity.RootKeyFile), root); err != nil {
		t.Error(err)
	}
	for _, m := range prod.Monitors {
		tls := filepath.Join(dir, m.Name, "tls")
		p, err := identity.Load(tls)
		if err != nil {
			t.Fatal(err)
		}
		if want := (identity.ID{Kind: identity.Monitor, Name: m.Name}); p.ID() != want {
			t.Errorf("%s is %s", tls, p.ID())
		}
		if err := p.Cert().VerifyHostname(m.Address); err != nil {
			t.Error(err)
		}
		issuer := filepath.Join(tls, identity.IssuerFile)
		if _, err := identity.LoadAuthority(issuer, filepath.Join(tls, identity.IssuerKeyFile), root); err != nil {
			t.Error(err)
		}
	}
	p, err := identity.Load(filepath.Join(dir, "admin"))
	if err != nil {
		t.Fatal(err)
	}
	if want := (identity.ID{Kind: identity.User, Name: "admin"}); p.ID() != want {
		t.Errorf("admin is %s", p.ID())
	}
}

func TestFilesAreValid(t *testing.T) {
	dir := initialize(t)
	var files []plans.File
	walk(t, dir, func(name string, _ fs.FileInfo) {
		if filepath.Ext(name) != ".yaml" {
			return
		}
		text := read(t, filepath.Join(dir, name))
		var parsed map[string]any
		if err := yaml.Unmarshal([]byte(text), &parsed); err != nil || len(parsed) == 0 {
			t.Errorf("%s: %v %v", name, parsed, err)
		}
		if strings.HasPrefix(name, "plans/") {
			files = append(files, plans.File{Name: name, Text: []byte(text)})
		}
	})
	set, mistakes := plans.Lint(files, nil)
	if set == nil || len(mistakes) != 0 || len(files) != 2 {
		t.Errorf("plans: %v", mistakes)
	}
}

// TestUnits lets systemd judge the units, and the stricter agent that one of them proposes in a comment.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("needs systemd-analyze")
	}
	dir := initialize(t)
	units := t.TempDir()
	add := func(name, text string) string {
		path := filepath.Join(units, name)
		text = strings.ReplaceAll(text, "/usr/local/bin/holter", "/bin/true") // which is there
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var paths []string
	for _, name := range []string{"monitor", "agent", "guard"} {
		name = "holter-" + name + ".service"
		paths = append(paths, add(name, read(t, filepath.Join(dir, "systemd", name))))
	}
	_, strict, _ := strings.Cut(read(t, paths[1]), "# [Service]")
	strict, _, _ = strings.Cut(strict, "[Install]")
	paths = append(paths, add("holter-strict.service",
		"[Service]\nType=notify\nExecStart=/bin/true\n"+strings.ReplaceAll(strict, "\n# ", "\n")))
	for _, path := range paths {
		out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", path).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "holter") {
				t.Errorf("systemd-analyze verify: %s", line)
			}
		}
		if err != nil && len(out) == 0 {
			t.Errorf("systemd-analyze verify %s: %v", path, err)
		}
	}
}

func TestInitRefuses(t *testing.T) {
	one := []setup.Monitor{{"m1", "10.0.0.1"}}
	for name, c := range map[string]setup.Cluster{
		"no name":        {Name: "", Monitors: one},
		"a bad name":     {Name: "../x", Monitors: one},
		"none":           {Name: "prod"},
		"two":            {Name: "prod", Monitors: []setup.Monitor{{"m1", "10.0.0.1"}, {"m2", "10.0.0.2"}}},
		"a host name":    {Name: "prod", Monitors: []setup.Monitor{{"m1", "m1.example"}}},
		"0.0.0.0":        {Name: "prod", Monitors: []setup.Monitor{{"m1", "0.0.0.0"}}},
		"a folder":       {Name: "prod", Monitors: []setup.Monitor{{"admin", "10.0.0.1"}}},
		"outside":        {Name: "prod", Monitors: []setup.Monitor{{"../m1", "10.0.0.1"}}},
		"names twice":    {Name: "prod", Monitors: []setup.Monitor{{"m1", "10.0.0.1"}, {"m1", "10.0.0.2"}, {"m3", "10.0.0.3"}}},
		"address twice":  {Name: "prod", Monitors: []setup.Monitor{{"m1", "::1"}, {"m2", "0::1"}, {"m3", "10.0.0.3"}}},
		"another's line": {Name: "prod", Monitors: []setup.Monitor{{"m1\n", "10.0.0.1"}}},
	} {
		parent := t.TempDir()
		refused(t, name, setup.Init(filepath.Join(parent, "prod"), c, time.Now()), console.ExitInvalid, "nothing was written")
		untouched(t, name, parent)
	}
	parent := t.TempDir()
	full := filepath.Join(parent, "full")
	if err := os.MkdirAll(filepath.Join(full, "kept"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := setup.Cluster{Name: "prod", Monitors: one}
	refused(t, "a folder with something in it", setup.Init(full, c, time.Now()), console.ExitInvalid, "is not an empty folder")
	untouched(t, "a folder with something in it", full, "kept")
	untouched(t, "a folder with something in it", parent, "full")
	file := filepath.Join(parent, "full", "kept", "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, "a file", setup.Init(file, c, time.Now()), console.ExitInvalid, "is not an empty folder")
	refused(t, "no parent", setup.Init(filepath.Join(parent, "a", "b"), c, time.Now()), console.ExitFailed, "nothing was written")
	t.Chdir(t.TempDir())
	refused(t, "here", setup.Init(".", c, time.Now()), console.ExitInvalid, "the present folder")
	empty := t.TempDir()
	if err := setup.Init(empty, c, time.Now()); err != nil {
		t.Errorf("an empty folder: %v", err)
	}
}

func refused(t *testing.T, name string, err error, code console.Exit, why string) {
	t.Helper()
	e, ok := errors.AsType[*setup.Error](err)
	if !ok || e.Exit != code || !strings.Contains(e.Message, why) {
		t.Errorf("%s: got %#v, want exit %d with %q", name, err, code, why)
	}
}

// untouched wants nothing but these names in a folder.
func untouched(t *testing.T, name, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("%s: in the folder is (-got +want):\n%s", name, diff)
	}
}
