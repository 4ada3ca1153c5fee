package node

import (
	"maps"
	"slices"
)

// names lists a map's names in order.
func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
