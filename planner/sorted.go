package planner

import (
	"maps"
	"slices"
)

// sortedKeys lists a map's keys in order: what is derived from a map must not depend on the order of the map.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
