package console

// Exit is an exit code of the command line. The API's errors carry it, so that every client ends alike.
type Exit int

// The exit codes.
const (
	ExitOK        Exit = 0
	ExitFailed    Exit = 1
	ExitUsage     Exit = 2
	ExitInvalid   Exit = 3
	ExitDiffers   Exit = 4
	ExitConflict  Exit = 5
	ExitForbidden Exit = 6
	ExitNoQuorum  Exit = 7
	ExitUnknown   Exit = 8
	ExitGate      Exit = 9
	ExitRunFailed Exit = 10
	ExitAborted   Exit = 11
	ExitSkipped   Exit = 12
	ExitRefused   Exit = 13
	ExitNoSuch    Exit = 14
	ExitTampered  Exit = 15
	ExitUnwell    Exit = 16
	ExitInterrupt Exit = 130
)

// ExitMeaning is one line of the table of exit codes.
type ExitMeaning struct {
	Code    Exit
	Meaning string
}

// Exits is the table of exit codes, in order. It is the only one: help prints it.
func Exits() []ExitMeaning {
	return []ExitMeaning{
		{ExitOK, "done, or nothing to do"},
		{ExitFailed, "failed for another reason: a port in use, a disk, a bug"},
		{ExitUsage, "wrong usage: a flag, an argument, or a question that nobody can answer without a terminal"},
		{ExitInvalid, "a plan, an inventory or a config file is invalid; nothing was changed"},
		{ExitDiffers, "there are differences (only with --exit-code)"},
		{ExitConflict, "conflict: somebody or something was faster; nothing was changed"},
		{ExitForbidden, "not allowed, or another person must agree"},
		{ExitNoQuorum, "no quorum, or no monitor can be reached; nothing was changed"},
		{ExitUnknown, "result unknown: the connection or the time ran out while the work may go on"},
		{ExitGate, "stopped at a gate"},
		{ExitRunFailed, "the run failed"},
		{ExitAborted, "the run was aborted"},
		{ExitSkipped, "the run ended, but some steps were skipped or did not succeed"},
		{ExitRefused, "refused by a guard or a check; nothing was changed"},
		{ExitNoSuch, "no such host, workload, plan, run or step"},
		{ExitTampered, "an audit file is not what was written, or does not say what the others say"},
		{ExitUnwell, "doctor found something wrong, or could not check something"},
		{ExitInterrupt, "ended by Ctrl-C; a run that was followed goes on"},
	}
}
