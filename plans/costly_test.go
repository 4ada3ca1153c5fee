package plans

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// costly are texts that cost a decoder dear that does not take care: each is refused, in about the memory of a file of its length.
func costly() map[string]string {
	const header = "apiVersion: holter/v1\nkind: Inventory\ncluster: {name: x}\n"
	bomb := header + "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
	for i := range 12 {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 9), ","))
	}
	return map[string]string{
		"alias bomb":       bomb,
		"an endless alias": header + "sites: &a {ams: *a}\n",
		"deep lists":       header + "sites: " + strings.Repeat("[", 200_000),
		"deep mappings":    header + "sites: " + strings.Repeat("{a: ", 100_000),
		"deep blocks":      header + strings.Repeat("- ", 100_000),
		"a huge text":      header + "sites: {ams: {}}\nowner: " + strings.Repeat("x", 900_000),
		"a huge number":    header + "sites: " + strings.Repeat("9", 900_000),
		"a huge name":      header + strings.Repeat("x", 900_000) + ": 1\n",
		"many keys":        header + "sites: {" + strings.Repeat("a: {},", 150_000) + "}\n",
		"many lines":       header + strings.Repeat("? \n", 250_000),
		"many documents":   strings.Repeat("---\n", 250_000),
	}
}

func TestCostlyFiles(t *testing.T) {
	for name, text := range costly() {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			set, mistakes := Lint([]File{{Name: "f.yaml", Text: []byte(text)}}, nil)
			runtime.ReadMemStats(&after)
			if set != nil || len(mistakes) == 0 {
				t.Error("it is not refused")
			}
			// A key or value costs some hundred bytes while it is looked at, and what cannot be read is read again a few times.
			const limit = 2 << 30
			if took := after.TotalAlloc - before.TotalAlloc; took > limit {
				t.Errorf("%d bytes of text took %d MiB", len(text), took>>20)
			}
			for _, m := range mistakes {
				if len(m.Message) > 4096 {
					t.Errorf("a message of %d bytes", len(m.Message))
				}
			}
		})
	}
}
