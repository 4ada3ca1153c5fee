package plans

// Severity says whether a mistake keeps the files from being applied.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Code is one kind of mistake: HP0xx are about the text and its form, HP1xx about names that refer to something, HP2xx about
// what is well-formed but not safe.
type Code struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	Sentence string   `json:"sentence"`
}

// The codes, each used by the check that its name says.
const (
	codeSyntax      = "HP001"
	codeEncoding    = "HP002"
	codeTooBig      = "HP003"
	codeDocuments   = "HP004"
	codeYAMLFeature = "HP005"
	codeHeader      = "HP006"
	codeType        = "HP010"
	codeDuration    = "HP011"
	codeUnknown     = "HP012"
	codeTwice       = "HP013"
	codeMissing     = "HP014"
	codeName        = "HP015"
	codeChoice      = "HP016"
	codeBounds      = "HP017"
	codeLater       = "HP018"
	codeTogether    = "HP019"
	codeBraces      = "HP020"
	codeForm        = "HP021"
	codeLease       = "HP022"
	codeSecret      = "HP023"

	codeNoSite      = "HP101"
	codeNoHost      = "HP102"
	codeNoWorkload  = "HP103"
	codeNoStep      = "HP104"
	codeCycle       = "HP105"
	codeDefined     = "HP106"
	codeRepeated    = "HP107"
	codeMatchesNone = "HP108"
	codeNoPlace     = "HP109"
	codeNoAddress   = "HP110"
	codeOrder       = "HP111"
	codeNotAllowed  = "HP112"
	codeStepBelow   = "HP113"

	codeNoFence    = "HP201"
	codeNoTrigger  = "HP202"
	codeSharedUnit = "HP203"
	codeNeedsHuman = "HP204"
	codeNoDevice   = "HP205"
	codeShortStop  = "HP206"
	codeBrokers    = "HP207"
	codeNeverAlone = "HP208"
)

// Codes lists the kinds of mistake in the order of their codes.
func Codes() []Code {
	return []Code{
		{codeSyntax, SeverityError, "The file is not YAML."},
		{codeEncoding, SeverityError, "The file is not UTF-8 text."},
		{codeTooBig, SeverityError, "The files are larger, deeper or more than Holter reads."},
		{codeDocuments, SeverityError, "A file holds exactly one document, an inventory or a plan."},
		{codeYAMLFeature, SeverityError, "Anchors, aliases, merge keys and tags are not part of the language: what is meant is written out."},
		{codeHeader, SeverityError, "A document begins with apiVersion: holter/v1 and a known kind."},
		{codeType, SeverityError, "A value is of another type than its field."},
		{codeDuration, SeverityError, "A duration is a number with a unit: 250ms, 90s, 2m, 1h30m."},
		{codeUnknown, SeverityError, "There is no such field here."},
		{codeTwice, SeverityError, "A field or an entry is given twice in one mapping."},
		{codeMissing, SeverityError, "A field that is needed is missing or empty."},
		{codeName, SeverityError, "A name consists of lower-case letters, digits and hyphens, at most 63."},
		{codeChoice, SeverityError, "A value is none of the field's choices."},
		{codeBounds, SeverityError, "A number or duration is out of its bounds."},
		{codeLater, SeverityError, "The language has this, but this version of Holter cannot do it yet; it refuses rather than ignores it."},
		{codeTogether, SeverityError, "Fields or entries stand together that cannot."},
		{codeBraces, SeverityError, "Between {{ and }} stands a name that has a value there."},
		{codeForm, SeverityError, "A text does not have the form that its field needs."},
		{codeLease, SeverityError, "A lease's numbers do not fit each other, or a take-over time is not safe."},
		{codeSecret, SeverityError, "A secret stands in the file, and so in the log of all monitors."},
		{codeNoSite, SeverityError, "The inventory has no such site."},
		{codeNoHost, SeverityError, "The inventory has no such host."},
		{codeNoWorkload, SeverityError, "The inventory has no such workload."},
		{codeNoStep, SeverityError, "The plan has no such step."},
		{codeCycle, SeverityError, "Workloads or steps wait for each other in a circle."},
		{codeDefined, SeverityError, "Two things have one name, or there are two inventories."},
		{codeRepeated, SeverityError, "A list names the same thing twice."},
		{codeMatchesNone, SeverityWarning, "A selector matches nothing in the inventory."},
		{codeNoPlace, SeverityError, "No host is allowed to run the workload."},
		{codeNoAddress, SeverityError, "{{ host.address }} is used, but a host that it may stand for has no address that fits."},
		{codeOrder, SeverityWarning, "The steps start or stop workloads in another order than the inventory's dependencies."},
		{codeNotAllowed, SeverityWarning, "A workload may not run on any of the hosts that the step starts it on."},
		{codeStepBelow, SeverityError, "A step comes after one that stands further down."},
		{codeNoFence, SeverityWarning, "Exclusive workloads of lost hosts are started without a fence step before."},
		{codeNoTrigger, SeverityWarning, "The trigger's hosts are used in a plan without a trigger."},
		{codeSharedUnit, SeverityWarning, "Two workloads are the same unit on one host: to stop one stops the other."},
		{codeNeedsHuman, SeverityWarning, "When the host is lost, its exclusive workloads wait for a person: it does not fence itself and has no fence device."},
		{codeNoDevice, SeverityWarning, "A workload accepts only fencing as evidence, but one of its hosts has no fence device."},
		{codeShortStop, SeverityWarning, "At the end of a lease a workload gets less time to stop than its ladder says."},
		{codeBrokers, SeverityWarning, "A lease is too short for agents that reach a single broker."},
		{codeNeverAlone, SeverityWarning, "The loss of a single host is a mass loss already, so that the plan never starts by itself."},
	}
}

// severityOf returns the severity of a code.
func severityOf(code string) Severity {
	for _, c := range Codes() {
		if c.Code == code {
			return c.Severity
		}
	}
	panic("plans: mistake with a code that is not in the table: " + code)
}
