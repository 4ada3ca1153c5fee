package integration

import (
	"os"
	"regexp"
	"testing"

	"github.com/holter-ha/holter/plans"
)

// TestPlansInTheDocs compiles every YAML block of the README: what a reader copies works.
func TestPlansInTheDocs(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) == 0 {
		t.Fatal("the README has no YAML block any more: this test has nothing to hold")
	}
	for i, block := range blocks {
		if _, err := plans.Decode([]plans.File{{Name: "README.md", Text: block[1]}}, nil); err != nil {
			t.Errorf("block %d: %v", i+1, err)
		}
	}
}
