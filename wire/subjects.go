package wire

import "strings"

// prefix begins every subject. Its version changes when the meaning of a subject does.
const prefix = "holter.v1."

// What a subject is about: the part between the prefix and the name of a host or monitor.
const (
	aboutBeat    = "beat"
	aboutStatus  = "status"
	aboutClock   = "clock"
	aboutJoin    = "join"
	aboutAssign  = "assign"
	aboutCommand = "command"
	aboutResult  = "result"
	aboutView    = "view"
	aboutLevel   = "level"
	aboutHello   = "hello"
	aboutOffer   = "offer"
	aboutRenew   = "renew"
	aboutAck     = "ack"
	aboutReport  = "report"
	aboutIndex   = "readindex"
	aboutFenced  = "fenced"
	aboutEvent   = "event"
)

// anyName stands for every name in a subscription.
const anyName = "*"

// BeatSubject carries a host's beats. Agent → monitors.
func BeatSubject(host string) string { return subject(aboutBeat, host) }

// StatusSubject carries a host's Status. Agent → monitors.
func StatusSubject(host string) string { return subject(aboutStatus, host) }

// ClockSubject carries a host's Clock. Agent → monitors.
func ClockSubject(host string) string { return subject(aboutClock, host) }

// JoinSubject carries a host's Join. Agent → monitors.
func JoinSubject(host string) string { return subject(aboutJoin, host) }

// AssignSubject carries a host's Assignment. Monitors → agent.
func AssignSubject(host string) string { return subject(aboutAssign, host) }

// CommandSubject carries the Commands for a host. Monitors → agent.
func CommandSubject(host string) string { return subject(aboutCommand, host) }

// ResultSubject carries a host's Results. Agent → monitors.
func ResultSubject(host string) string { return subject(aboutResult, host) }

// ViewSubject carries a monitor's View. Monitors → monitors.
func ViewSubject(monitor string) string { return subject(aboutView, monitor) }

// LevelSubject carries a monitor's Level. Monitors → monitors.
func LevelSubject(monitor string) string { return subject(aboutLevel, monitor) }

// HelloSubject carries a monitor's Hello. Monitors → monitors.
func HelloSubject(monitor string) string { return subject(aboutHello, monitor) }

// OfferSubject carries the Offers to a host. Monitors → agent.
func OfferSubject(host string) string { return subject(aboutOffer, host) }

// RenewSubject carries a host's Renews. Agent → monitors.
func RenewSubject(host string) string { return subject(aboutRenew, host) }

// AckSubject carries the Acks for a host. Monitors → agent.
func AckSubject(host string) string { return subject(aboutAck, host) }

// ReportSubject carries a monitor's Reports. Monitors → monitors.
func ReportSubject(monitor string) string { return subject(aboutReport, monitor) }

// ReadIndexSubject carries a monitor's ReadIndex question and its answer. Monitors → monitors.
func ReadIndexSubject(monitor string) string { return subject(aboutIndex, monitor) }

// FencedSubject carries a monitor's Fenced. Monitors → monitors.
func FencedSubject(monitor string) string { return subject(aboutFenced, monitor) }

// EventSubject carries the events of one name, as people see it: host.lost. Leading monitor → whoever listens. What it carries
// is a document of the API, not a message of this package.
func EventSubject(name string) string { return subject(aboutEvent, name) }

// AllEvents subscribes to every event.
func AllEvents() string { return subject(aboutEvent, ">") }

// AllRenews subscribes to the Renews of every host.
func AllRenews() string { return subject(aboutRenew, anyName) }

// AllReports subscribes to the Reports of every monitor.
func AllReports() string { return subject(aboutReport, anyName) }

// AllReadIndexes subscribes to the ReadIndex of every monitor.
func AllReadIndexes() string { return subject(aboutIndex, anyName) }

// AllFenced subscribes to the Fenced of every monitor.
func AllFenced() string { return subject(aboutFenced, anyName) }

// AllBeats subscribes to the beats of every host.
func AllBeats() string { return subject(aboutBeat, anyName) }

// AllStatuses subscribes to the Status of every host.
func AllStatuses() string { return subject(aboutStatus, anyName) }

// AllClocks subscribes to the Clock of every host.
func AllClocks() string { return subject(aboutClock, anyName) }

// AllJoins subscribes to the Join of every host.
func AllJoins() string { return subject(aboutJoin, anyName) }

// AllResults subscribes to the Results of every host.
func AllResults() string { return subject(aboutResult, anyName) }

// AllViews subscribes to the View of every monitor.
func AllViews() string { return subject(aboutView, anyName) }

// AllLevels subscribes to the levels of all monitors.
func AllLevels() string { return subject(aboutLevel, anyName) }

// AllHellos subscribes to the Hello of every monitor.
func AllHellos() string { return subject(aboutHello, anyName) }

// HostOf returns the host that a subject of one of the functions above names: the monitor, for a view or a hello. It is
// empty if the subject is none of ours.
func HostOf(subject string) string {
	rest, ours := strings.CutPrefix(subject, prefix)
	if !ours {
		return ""
	}
	_, name, _ := strings.Cut(rest, ".")
	if strings.Contains(name, ".") {
		return ""
	}
	return name
}

func subject(about, name string) string { return prefix + about + "." + name }
