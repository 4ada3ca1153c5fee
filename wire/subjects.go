package wire

import "strings"

// prefix begins every subject. Its version changes when the meaning of a subject does.
const prefix = "holter.v1."

// What a subject is about: the part between the prefix and the name of a host or monitor.
const (
	aboutBeat    = "beat"
	aboutStatus  = "status"
	aboutJoin    = "join"
	aboutAssign  = "assign"
	aboutCommand = "command"
	aboutResult  = "result"
	aboutView    = "view"
	aboutHello   = "hello"
)

// anyName stands for every name in a subscription.
const anyName = "*"

// BeatSubject carries a host's beats. Agent → monitors.
func BeatSubject(host string) string { return subject(aboutBeat, host) }

// StatusSubject carries a host's Status. Agent → monitors.
func StatusSubject(host string) string { return subject(aboutStatus, host) }

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

// HelloSubject carries a monitor's Hello. Monitors → monitors.
func HelloSubject(monitor string) string { return subject(aboutHello, monitor) }

// AllBeats subscribes to the beats of every host.
func AllBeats() string { return subject(aboutBeat, anyName) }

// AllStatuses subscribes to the Status of every host.
func AllStatuses() string { return subject(aboutStatus, anyName) }

// AllJoins subscribes to the Join of every host.
func AllJoins() string { return subject(aboutJoin, anyName) }

// AllResults subscribes to the Results of every host.
func AllResults() string { return subject(aboutResult, anyName) }

// AllViews subscribes to the View of every monitor.
func AllViews() string { return subject(aboutView, anyName) }

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
