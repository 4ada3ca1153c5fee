package plans

import (
	"cmp"
	"slices"
	"strings"
)

// File is one file of an operator.
type File struct {
	Name string // as it shall stand in mistakes
	Text []byte
}

// maxFiles is how many files are read as one Set.
const maxFiles = 1000

// Decode compiles files into a Set. When the files bring no inventory, the plans are checked against base, the inventory
// in force; without that either, names of hosts, sites and workloads in plans are not checked. The error is *Mistakes and
// holds the warnings too; warnings alone are no error.
//
// To see whether a plan of earlier fits a new inventory, decode its Source again: it is a File named p.Name.
func Decode(files []File, base *Inventory) (*Set, error) {
	set, mistakes := Lint(files, base)
	if set == nil {
		return nil, &Mistakes{List: mistakes}
	}
	return set, nil
}

// Lint is Decode for those who want the warnings: it answers with all mistakes, and with the Set if none of them is an error.
func Lint(files []File, base *Inventory) (*Set, []Mistake) {
	l := &linter{}
	set := l.compile(files, base)
	mistakes := l.all()
	if l.errors > 0 {
		return nil, mistakes
	}
	return set, mistakes
}

// linter is what one walk over all files shares.
type linter struct {
	mistakes []Mistake
	errors   int // noted, those beyond maxMistakes too
	warnings int
	compared int // pairs of words compared for hints
}

func (l *linter) compile(files []File, base *Inventory) *Set {
	if len(files) == 0 {
		l.add(Mistake{Severity: SeverityError, Code: codeDocuments, Message: "there are no files", Hint: "name at least one"})
		return nil
	}
	if len(files) > maxFiles {
		l.add(Mistake{Severity: SeverityError, Code: codeTooBig, Message: count(len(files), "file"), Hint: "the limit is " + count(maxFiles, "file")})
		return nil
	}
	inventories, drafts, whole := l.documents(files)

	set := &Set{}
	for i, d := range inventories {
		inv := d.inventory()
		if i == 0 {
			set.Inventory = inv
			continue
		}
		d.header("kind").mistake(codeDefined, "keep one; the other one is "+inventories[0].file.name, "a second inventory")
	}
	refs := set.Inventory
	if refs == nil && whole {
		refs = base
	}
	seen := make(map[string]string)
	for _, d := range drafts {
		p := d.plan(refs)
		if first, twice := seen[p.Name]; twice && p.Name != "" {
			d.header("name").mistake(codeDefined, "rename one; the other one is in "+first, "a second plan %s", quote(p.Name))
		}
		seen[p.Name] = d.file.name
		set.Plans = append(set.Plans, p)
	}
	slices.SortFunc(set.Plans, func(a, b *Plan) int { return strings.Compare(a.Name, b.Name) })
	return set
}

// documents reads the files and sorts out which are inventories and which are plans. Whole says that every file turned
// out to be one or the other.
func (l *linter) documents(files []File) (inventories, plans []table, whole bool) {
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b File) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(string(a.Text), string(b.Text)))
	})
	whole = true
	for _, one := range files {
		f := &file{name: one.Name, text: one.Text, lint: l}
		root, ok := f.parse()
		if !ok {
			whole = false
			continue
		}
		switch t := (value{file: f, name: "the document", node: root}).open(); t.documentKind() {
		case kindInventory:
			inventories = append(inventories, t)
		case kindPlan:
			plans = append(plans, t)
		default:
			whole = false
		}
	}
	return inventories, plans, whole
}

// The values of the field kind.
const (
	kindInventory = "Inventory"
	kindPlan      = "Plan"
)

// documentKind checks how a document begins and answers with its kind, empty if that is unknown.
func (t table) documentKind() string {
	if t.entries == nil {
		return ""
	}
	t.need("apiVersion", func(v value) {
		if s := v.text(); s != "" && s != APIVersion {
			v.mistake(codeHeader, "write "+APIVersion, "apiVersion %s is not known", quote(s))
		}
	})
	kind := ""
	t.need("kind", func(v value) {
		switch s := v.text(); s {
		case kindInventory, kindPlan:
			kind = s
		case "Scenario":
			v.mistake(codeLater, "leave the file out", "kind Scenario is not available in this version")
		case "":
		default:
			v.mistake(codeHeader, "write Inventory or Plan", "kind %s is not known", quote(s))
		}
	})
	return kind
}

// header is the value of a field for mistakes that are about the whole document.
func (t table) header(name string) value {
	for _, v := range t.entries {
		if v.name == name {
			return v
		}
	}
	return t.value
}
