package plans

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files, then read the diff")

// golden compares got with the golden file, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, string(want)); diff != "" {
		t.Errorf("%s (-got +want):\n%s", name, diff)
	}
}

// cases reads a folder: each file is a case of its own, each folder a case of several files. Golden files are left out.
func cases(t testing.TB, folder string) map[string][]File {
	t.Helper()
	found := make(map[string][]File)
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		name := strings.TrimSuffix(path, ".yaml")
		if parent := filepath.Dir(path); parent != filepath.Clean(folder) {
			name = parent
		}
		found[name] = append(found[name], File{Name: filepath.Base(path), Text: text})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("no cases in %s", folder)
	}
	return found
}

func examples(t testing.TB) []File {
	t.Helper()
	var files []File
	names, err := fs.Glob(Examples(), "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(Examples(), name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, File{Name: name, Text: text})
	}
	return files
}

func indented(t testing.TB, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

// source is a field of the compiled form that would repeat the whole file in a golden.
var source = regexp.MustCompile(`"source": ".*"`)

func withoutSource(s string) string { return source.ReplaceAllString(s, `"source": "…"`) }

func TestGoodFiles(t *testing.T) {
	all := cases(t, "testdata/good")
	all["testdata/good/examples"] = examples(t)
	for name, files := range all {
		t.Run(filepath.Base(name), func(t *testing.T) {
			set, mistakes := Lint(files, nil)
			if len(mistakes) > 0 {
				t.Fatal((&Mistakes{mistakes}).Error())
			}
			golden(t, name+".json", withoutSource(indented(t, set)))
		})
	}
}

func TestBadFiles(t *testing.T) {
	used := make(map[string]string)
	for name, files := range cases(t, "testdata/bad") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			set, mistakes := Lint(files, nil)
			if len(mistakes) == 0 {
				t.Fatal("no mistakes")
			}
			golden(t, name+".err", (&Mistakes{mistakes}).Error()+"\n")
			for _, m := range mistakes {
				used[m.Code] = name
			}
			decoded, err := Decode(files, nil)
			failed := slices.ContainsFunc(mistakes, func(m Mistake) bool { return m.Severity == SeverityError })
			if failed != (err != nil) || failed != (decoded == nil) || failed != (set == nil) {
				t.Errorf("errors: %v, but Decode answers %v, %v", failed, decoded, err)
			}
		})
	}
	for _, c := range Codes() {
		if used[c.Code] == "" {
			t.Errorf("%s (%s) is in no file of testdata/bad", c.Code, c.Sentence)
		}
	}
}

// Codes stand in one file only, so that the table cannot miss one.
func TestCodesAreInTheTable(t *testing.T) {
	literal := regexp.MustCompile(`"(HP\d{3})"`)
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var table []string
	for _, c := range Codes() {
		table = append(table, c.Code)
	}
	if !slices.IsSorted(table) || len(slices.Compact(slices.Clone(table))) != len(table) {
		t.Errorf("the table is not sorted, each code once: %v", table)
	}
	for _, name := range sources {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range literal.FindAllStringSubmatch(string(text), -1) {
			if name != "codes.go" && !strings.HasSuffix(name, "_test.go") || !slices.Contains(table, m[1]) {
				t.Errorf("%s: code %s", name, m[1])
			}
		}
	}
}

func TestSameFilesInAnyOrderCompileToTheSame(t *testing.T) {
	for name, files := range cases(t, "testdata/bad") {
		_, want := Lint(files, nil)
		slices.Reverse(files)
		_, got := Lint(files, nil)
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("%s (-reversed +given):\n%s", name, diff)
		}
	}
	files := examples(t)
	want, err := Decode(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		files = append(files[1:], files[0])
		got, err := Decode(files, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(indented(t, got), indented(t, want)); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestCompiledFormSurvivesTheLog(t *testing.T) {
	set, err := Decode(examples(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	var back Set
	if err := json.Unmarshal([]byte(indented(t, set)), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&back, set); diff != "" {
		t.Errorf("-decoded +compiled:\n%s", diff)
	}
}

// A plan is checked against the inventory of the files, else against the one in force, else not.
func TestPlansAreCheckedAgainstAnInventory(t *testing.T) {
	set, err := Decode(examples(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	plan := []File{{Name: "p.yaml", Text: []byte("apiVersion: holter/v1\nkind: Plan\nname: p\nsteps:\n  - stop: {workloads: [dbx]}\n")}}
	if _, mistakes := Lint(plan, nil); len(mistakes) > 0 {
		t.Errorf("without an inventory: %v", mistakes)
	}
	_, mistakes := Lint(plan, set.Inventory)
	if len(mistakes) != 1 || mistakes[0].Code != "HP103" || mistakes[0].Hint != `did you mean "db"?` {
		t.Errorf("against the inventory in force: %v", mistakes)
	}
	own := append(plan, File{Name: "i.yaml", Text: []byte("apiVersion: holter/v1\nkind: Inventory\ncluster: {name: c}\nsites: {s: {}}\n" +
		"hosts: {h: {site: s}}\nworkloads: {dbx: {kind: memory, unit: u, hosts: [h]}}\n")})
	if _, mistakes := Lint(own, set.Inventory); len(mistakes) > 0 {
		t.Errorf("with an inventory of its own: %v", mistakes)
	}
	// A plan of earlier is checked against a new inventory by its source.
	for _, p := range set.Plans {
		if _, err := Decode([]File{{Name: p.Name, Text: []byte(p.Source)}}, set.Inventory); err != nil {
			t.Errorf("%s again: %v", p.Name, err)
		}
	}
}

func TestLimits(t *testing.T) {
	many := make([]File, maxFiles+1)
	for name, files := range map[string][]File{
		"file":  {{Name: "f", Text: bytes.Repeat([]byte("# x\n"), maxFileSize/4+1)}},
		"nodes": {{Name: "f", Text: append([]byte("a: ["), append(bytes.Repeat([]byte("x,"), maxNodes), ']')...)}},
		"depth": {{Name: "f", Text: []byte("a: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000))}},
		"files": many,
	} {
		_, mistakes := Lint(files, nil)
		if len(mistakes) != 1 || mistakes[0].Code != "HP003" {
			t.Errorf("%s: %v", name, mistakes)
		}
	}
	if _, mistakes := Lint(nil, nil); len(mistakes) != 1 || mistakes[0].Code != "HP004" {
		t.Errorf("no files: %v", mistakes)
	}
}

// A hostile file costs no more than a large honest one, and its mistakes can be shown.
func TestHostileFiles(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("a0: &a0 [x]\n")
	for i := range 40 {
		bomb.WriteString("a" + string(rune('1'+i)) + ": &a [*a0, *a0]\n")
	}
	head := "apiVersion: holter/v1\nkind: Inventory\n"
	for name, text := range map[string]string{
		"aliases":  bomb.String(),
		"mistakes": head + strings.Repeat("? [x]\n: y\n", 5000),
		"line":     head + "x: {" + strings.Repeat("y: 1, ", 20_000) + "}\n",
		"quote":    head + "x: \"" + strings.Repeat("y\n", 100_000),
		"brackets": head + "x: " + strings.Repeat("[{a: ", 9000),
		"dashes":   head + "x:\n  " + strings.Repeat("- ", 9000),
	} {
		_, err := Decode([]File{{Name: "f.yaml", Text: []byte(text)}}, nil)
		if err == nil {
			t.Fatalf("%s: no mistakes", name)
		}
		if n := len(err.Error()); n > maxMistakes*2*maxShown {
			t.Errorf("%s: the mistakes take %d bytes", name, n)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, folder := range []string{"testdata/good", "testdata/bad"} {
		for _, files := range cases(f, folder) {
			for _, file := range files {
				f.Add(file.Text)
			}
		}
	}
	for _, file := range examples(f) {
		f.Add(file.Text)
	}
	base, err := Decode(examples(f), nil)
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range costly() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		files := []File{{Name: "f.yaml", Text: text}}
		set, mistakes := Lint(files, base.Inventory)
		if len(mistakes) > 2*maxMistakes+2 {
			t.Errorf("%d mistakes, which nobody reads", len(mistakes))
		}
		for _, m := range mistakes {
			if m.Line < 0 || m.Line > 0 && (m.Col < 1 || m.Width < 1) || m.Message == "" {
				t.Errorf("mistake without a place: %+v", m)
			}
		}
		if set == nil {
			if len(mistakes) == 0 {
				t.Error("no set and no mistakes")
			}
			return
		}
		again, _ := Lint(files, base.Inventory)
		if diff := cmp.Diff(indented(t, set), indented(t, again)); diff != "" {
			t.Error(diff)
		}
		var back Set
		if err := json.Unmarshal([]byte(indented(t, set)), &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(indented(t, set), indented(t, &back)); diff != "" {
			t.Error(diff)
		}
	})
}
