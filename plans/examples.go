package plans

import (
	"embed"
	"io/fs"
)

//go:embed examples/*.yaml
var exampleFiles embed.FS

// Examples holds the example files: inventory.yaml and plans that fit it.
func Examples() fs.FS {
	examples, err := fs.Sub(exampleFiles, "examples")
	if err != nil {
		panic(err) // the name is a constant
	}
	return examples
}
