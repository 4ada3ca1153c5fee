package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
)

// The codes of errors that are not refusals of the log. A refusal's code is "refused." and the planner's code.
const (
	CodeBadRequest      = "bad_request"
	CodeForbidden       = "forbidden"
	CodeInternal        = "internal"
	CodeInvalidFiles    = "invalid_files"
	CodeNoQuorum        = "no_quorum"
	CodeNoSuch          = "no_such"
	CodeOutcomeUnknown  = "outcome_unknown"
	CodeStale           = "stale"
	CodeTooLarge        = "too_large"
	CodeTooMany         = "too_many_streams"
	CodeTooFast         = "too_fast"
	CodeUnauthenticated = "unauthenticated"
	CodeUnreachable     = "unreachable" // said by the client: no server answered
)

// APIError is an error as the API answers it and as the client returns it.
type APIError struct {
	Code    string `json:"code"`
	Exit    Exit   `json:"exit"`
	Message string `json:"message"`        // what happened, and what was not changed
	Hint    string `json:"hint,omitempty"` // what to do
	Run     string `json:"runId,omitempty"`

	// Of no_quorum: who says so, and what it knows.
	Self            string `json:"self,omitempty"`
	Index           uint64 `json:"index,omitempty"`
	LeaderContactMs *int64 `json:"leaderContactMs,omitempty"` // absent: never heard of a leader

	// Tried are the servers of unreachable, each with the reason.
	Tried []Tried `json:"tried,omitempty"`

	// Mistakes of invalid_files.
	Mistakes []plans.Mistake `json:"mistakes,omitempty"`

	status int
}

// Tried is a server that did not answer.
type Tried struct {
	Server string `json:"server"`
	Reason string `json:"reason"`
}

// Error implements error.
func (e *APIError) Error() string { return e.Message }

// errorBody is the body of an answer that is an error.
type errorBody struct {
	Error *APIError `json:"error"`
}

// ErrorJSON is the body of an error, for whoever shows errors as JSON.
func ErrorJSON(e *APIError) ([]byte, error) { return json.Marshal(errorBody{e}) }

func badRequest(format string, args ...any) *APIError {
	return &APIError{Code: CodeBadRequest, Exit: ExitUsage, Message: fmt.Sprintf(format, args...), status: http.StatusBadRequest}
}

func noSuch(kind, name, hint string) *APIError {
	return &APIError{Code: CodeNoSuch, Exit: ExitNoSuch, Message: fmt.Sprintf("there is no %s %q", kind, name), Hint: hint, status: http.StatusNotFound}
}

// noQuorum says that this monitor knows no leader, or cannot reach it.
func noQuorum(look Look, message string) *APIError {
	e := &APIError{
		Code: CodeNoQuorum, Exit: ExitNoQuorum, Message: message + "; nothing was changed",
		Hint: "holter status; what this monitor last knew: holter status --stale",
		Self: look.Self, Index: look.State.Index, status: http.StatusServiceUnavailable,
	}
	if look.LeaderContact >= 0 {
		ms := look.LeaderContact.Milliseconds()
		e.LeaderContactMs = &ms
	}
	return e
}

func outcomeUnknown(message string) *APIError {
	return &APIError{
		Code: CodeOutcomeUnknown, Exit: ExitUnknown, Message: message,
		Hint: "it may have been done or not: holter events, holter status", status: http.StatusGatewayTimeout,
	}
}

// asAPIError turns whatever came of a request into what the client is told.
func asAPIError(look Look, err error) *APIError {
	if e, ok := errors.AsType[*APIError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*plans.Mistakes](err); ok {
		return &APIError{
			Code: CodeInvalidFiles, Exit: ExitInvalid, Message: "the files are invalid; nothing was changed",
			Hint: "holter plan lint FILE…", Mistakes: e.List, status: http.StatusUnprocessableEntity,
		}
	}
	if e, ok := errors.AsType[*planner.Refusal](err); ok {
		return refused(e)
	}
	switch {
	case errors.Is(err, planner.ErrOutcomeUnknown):
		return outcomeUnknown("the monitors did not say in time whether they agreed: the result is unknown")
	case errors.Is(err, planner.ErrNotLeader):
		return noQuorum(look, look.Self+" does not lead any more")
	}
	return &APIError{Code: CodeInternal, Exit: ExitFailed, Message: err.Error(), status: http.StatusInternalServerError}
}

// refused turns a refusal of the log into an answer.
func refused(r *planner.Refusal) *APIError {
	e := &APIError{Code: "refused." + string(r.Code), Exit: ExitRefused, Message: r.Message, Hint: r.Hint, status: http.StatusConflict}
	switch r.Code {
	case planner.CodeNoSuch:
		e.Code, e.Exit, e.status = CodeNoSuch, ExitNoSuch, http.StatusNotFound
	case planner.CodeStale:
		e.Code, e.Exit = CodeStale, ExitConflict
	case planner.CodeOwned, planner.CodeHost, planner.CodeOrder, planner.CodeClaimed, planner.CodeState, planner.CodeEvidence,
		planner.CodeInvalid, planner.CodeOpenRun, planner.CodeNoPlace, planner.CodeNothing:
	}
	return e
}
