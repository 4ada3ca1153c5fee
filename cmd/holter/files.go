package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/plans"
)

// Limits of the files of one command line.
const (
	maxFileSize = 4 << 20
	maxFiles    = 1000
)

// readFiles reads files, the YAML files of directories, and standard input ("-").
func readFiles(paths []string, in io.Reader) ([]plans.File, error) {
	var files []plans.File
	for _, path := range paths {
		names := []string{path}
		if info, err := os.Stat(path); path != "-" && err == nil && info.IsDir() {
			if names, err = yamlFiles(path); err != nil {
				return nil, err
			}
		}
		for _, name := range names {
			if len(files) == maxFiles {
				return nil, usage("more than %d files; nothing was changed", maxFiles)
			}
			file, err := readFile(name, in)
			if err != nil {
				return nil, err
			}
			files = append(files, file)
		}
	}
	return files, nil
}

func readFile(name string, in io.Reader) (plans.File, error) {
	shown := name
	if name == "-" {
		shown = "stdin"
	} else {
		f, err := os.Open(name)
		if err != nil {
			return plans.File{}, withExit(console.ExitFailed, fmt.Errorf("read the files: %w; nothing was changed", err))
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxFileSize+1))
	if err != nil {
		return plans.File{}, fmt.Errorf("read %s: %w; nothing was changed", shown, err)
	}
	if len(text) > maxFileSize {
		return plans.File{}, withExit(console.ExitInvalid, fmt.Errorf("%s is larger than %d MiB; nothing was changed", shown, maxFileSize>>20))
	}
	return plans.File{Name: shown, Text: text}, nil
}

// yamlFiles lists the YAML files of a directory and those below it, without hidden ones.
func yamlFiles(dir string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path != dir && strings.HasPrefix(entry.Name(), "."):
			if entry.IsDir() {
				return fs.SkipDir
			}
		case !entry.IsDir() && slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(path)):
			names = append(names, path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the files: %w; nothing was changed", err)
	}
	if len(names) == 0 {
		return nil, usage("%s holds no .yaml file; nothing was changed", dir)
	}
	return names, nil
}
