package planner

import (
	"encoding/json"
	"iter"

	iradix "github.com/hashicorp/go-immutable-radix/v2"
)

// Table is an immutable map from names to values in the order of the names. With and Without answer with a new table that
// shares what did not change, so that a State can be read while the next one is made. The zero Table is empty.
type Table[T any] struct {
	tree *iradix.Tree[T]
}

// Get returns the value of a name and whether there is one.
func (t Table[T]) Get(name string) (T, bool) {
	if t.tree == nil {
		var zero T
		return zero, false
	}
	return t.tree.Get([]byte(name))
}

// With returns the table with the name set to the value.
func (t Table[T]) With(name string, value T) Table[T] {
	tree := t.tree
	if tree == nil {
		tree = iradix.New[T]()
	}
	tree, _, _ = tree.Insert([]byte(name), value)
	return Table[T]{tree}
}

// Without returns the table without the name.
func (t Table[T]) Without(name string) Table[T] {
	if t.tree == nil {
		return t
	}
	tree, _, _ := t.tree.Delete([]byte(name))
	return Table[T]{tree}
}

// Len counts the names.
func (t Table[T]) Len() int {
	if t.tree == nil {
		return 0
	}
	return t.tree.Len()
}

// All yields the names in order with their values.
func (t Table[T]) All() iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		if t.tree == nil {
			return
		}
		t.tree.Root().Walk(func(name []byte, value T) bool { return !yield(string(name), value) })
	}
}

// MarshalJSON writes the table as an array of [name, value], in order.
func (t Table[T]) MarshalJSON() ([]byte, error) {
	rows := make([][2]any, 0, t.Len())
	for name, value := range t.All() {
		rows = append(rows, [2]any{name, value})
	}
	return json.Marshal(rows)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (t *Table[T]) UnmarshalJSON(b []byte) error {
	var rows [][2]json.RawMessage
	if err := json.Unmarshal(b, &rows); err != nil {
		return err
	}
	txn := iradix.New[T]().Txn()
	for _, row := range rows {
		var name string
		var value T
		if err := json.Unmarshal(row[0], &name); err != nil {
			return err
		}
		if err := json.Unmarshal(row[1], &value); err != nil {
			return err
		}
		txn.Insert([]byte(name), value)
	}
	t.tree = txn.Commit()
	return nil
}
