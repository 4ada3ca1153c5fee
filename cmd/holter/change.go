package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
)

// change asks for one change and says what came of it.
func (a *app) change(cmd *cobra.Command, do func(context.Context, *console.Client) (console.Doc[console.Done], error)) error {
	client := a.client()
	defer client.Close()
	ctx, cancel := a.asking(cmd.Context())
	defer cancel()
	answer, err := do(ctx, client)
	if err != nil {
		return err
	}
	if a.asJSON() {
		return a.printDoc(answer)
	}
	a.printf("%s (#%d)\n", answer.Item.Message, answer.Index)
	return nil
}
