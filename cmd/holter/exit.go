package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/plans"
)

// exitError ends the program with a code. Err is nil when everything has been said.
type exitError struct {
	code console.Exit
	hint string // what to do
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// withExit gives an error an exit code.
func withExit(code console.Exit, err error) error { return &exitError{code: code, err: err} }

// ended ends the program with a code; everything has been said.
func ended(code console.Exit) error {
	if code == console.ExitOK {
		return nil
	}
	return &exitError{code: code}
}

// usage is an error of whoever typed the command line.
func usage(format string, args ...any) error {
	return withExit(console.ExitUsage, fmt.Errorf(format, args...))
}

// report tells what went wrong and returns the exit code.
func (a *app) report(ctx context.Context, ran *cobra.Command, err error) console.Exit {
	if err == nil {
		return console.ExitOK
	}
	e := a.explain(ctx, ran, err)
	if e.Message == "" {
		return e.Exit
	}
	if a.asJSON() {
		text, err := console.ErrorJSON(e)
		if err != nil {
			text, _ = json.Marshal(e.Message)
		}
		fmt.Fprintf(a.talk, "%s\n", text)
		return e.Exit
	}
	if len(e.Mistakes) > 0 {
		fmt.Fprintf(a.talk, "%s\n\n", (&plans.Mistakes{List: e.Mistakes}).Error())
	}
	fmt.Fprintf(a.talk, "holter: %s\n", e.Message)
	if e.Hint != "" {
		fmt.Fprintf(a.talk, "  %s\n", e.Hint)
	}
	return e.Exit
}

// explain makes every error one that can be told. An empty message: it has been told.
func (a *app) explain(ctx context.Context, ran *cobra.Command, err error) *console.APIError {
	api, isAPI := errors.AsType[*console.APIError](err)
	if isAPI && api.Code == console.CodeOutcomeUnknown {
		return api
	}
	own, isOwn := errors.AsType[*exitError](err)
	switch {
	case isOwn && own.err == nil:
		return &console.APIError{Exit: own.code}
	case isOwn:
		e := &console.APIError{Code: codeName(own.code), Exit: own.code, Message: own.Error(), Hint: own.hint}
		if own.code == console.ExitUsage && ran != nil && e.Hint == "" {
			e.Hint = "see: " + ran.CommandPath() + " --help"
		}
		return e
	case ctx.Err() != nil:
		return &console.APIError{Code: codeName(console.ExitInterrupt), Exit: console.ExitInterrupt, Message: "interrupted"}
	case isAPI:
		return api
	}
	if mistakes, ok := errors.AsType[*plans.Mistakes](err); ok {
		return &console.APIError{Code: console.CodeInvalidFiles, Exit: console.ExitInvalid, Message: "the files are invalid", Mistakes: mistakes.List}
	}
	return &console.APIError{Code: codeName(console.ExitFailed), Exit: console.ExitFailed, Message: err.Error()}
}

// codeName is the code for programs of an error that the command line itself found.
func codeName(code console.Exit) string {
	switch code {
	case console.ExitUsage:
		return "usage"
	case console.ExitInvalid:
		return console.CodeInvalidFiles
	case console.ExitNoQuorum:
		return console.CodeNoQuorum
	case console.ExitUnknown:
		return console.CodeOutcomeUnknown
	case console.ExitNoSuch:
		return console.CodeNoSuch
	case console.ExitTampered:
		return "tampered"
	case console.ExitInterrupt:
		return "interrupted"
	case console.ExitOK, console.ExitFailed, console.ExitDiffers, console.ExitConflict, console.ExitForbidden, console.ExitGate,
		console.ExitRunFailed, console.ExitAborted, console.ExitSkipped, console.ExitRefused, console.ExitUnwell:
	}
	return "failed"
}

// newExitCodesTopic is what "holter help exit-codes" shows.
func newExitCodesTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("Every verb ends with one of these codes:\n\n")
	for _, line := range console.Exits() {
		fmt.Fprintf(&b, "  %4d  %s\n", line.Code, line.Meaning)
	}
	b.WriteString("\nWith -o json an error is {\"error\":{\"code\":…,\"exit\":…,\"message\":…,\"hint\":…}} on stderr.")
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: b.String()}
}
