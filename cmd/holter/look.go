package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
)

// looked is what a verb needs that shows all of something, or one of it with its newest events.
type looked[T any] struct {
	use, short, example, arg string

	all     func(*console.Client, context.Context) (console.List[T], error)
	one     func(*console.Client, context.Context, string) (console.Doc[T], error)
	name    func(T) string
	showAll func([]T)
	show    func(T, []console.EventItem)
}

func newLookCommand[T any](a *app, l looked[T]) *cobra.Command {
	return &cobra.Command{
		Use: l.use, Short: l.short, Example: l.example, Args: between(0, l.arg),
		RunE: func(cmd *cobra.Command, args []string) error {
			client := a.client()
			defer client.Close()
			ctx, cancel := a.asking(cmd.Context())
			defer cancel()
			if len(args) == 0 {
				list, err := l.all(client, ctx)
				if err != nil {
					return err
				}
				if printed, err := printList(a, list, l.name); printed {
					return err
				}
				l.showAll(list.Items)
				return nil
			}
			item, err := l.one(client, ctx, args[0])
			if err != nil {
				return err
			}
			if a.asJSON() {
				return a.printDoc(item)
			}
			events, err := client.Events(ctx, nil, lookBack)
			if err != nil {
				return err
			}
			l.show(item.Item, events.Items)
			return nil
		},
	}
}
