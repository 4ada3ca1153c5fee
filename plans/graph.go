package plans

import (
	"slices"
	"strings"
)

// maxCycles is how many cycles are shown of one graph.
const maxCycles = 20

// cycles follows the edges from each name in turn and answers with the cycles it runs into, at most maxCycles, each as the path from a name back to
// itself. There is at least one if and only if the graph has a cycle.
func cycles(names []string, next func(string) []string) [][]string {
	var found [][]string
	var path []string
	onPath, done := make(map[string]int), make(map[string]bool)
	var visit func(string)
	visit = func(name string) {
		onPath[name] = len(path)
		path = append(path, name)
		for _, to := range next(name) {
			if from, back := onPath[to]; back && len(found) < maxCycles {
				found = append(found, append(slices.Clone(path[from:]), to))
			} else if !back && !done[to] {
				visit(to)
			}
		}
		path = path[:len(path)-1]
		delete(onPath, name)
		done[name] = true
	}
	for _, name := range names {
		if !done[name] {
			visit(name)
		}
	}
	return found
}

// maxPath is how many names of a cycle a mistake shows.
const maxPath = 12

// arrows writes a path for people.
func arrows(path []string) string {
	if len(path) > maxPath {
		path = append(slices.Clone(path[:maxPath]), "…", path[len(path)-1])
	}
	return strings.Join(path, " → ")
}
