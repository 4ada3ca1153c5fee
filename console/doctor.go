package console

import (
	"context"
	"net/http"
	"strings"
)

// Grade says what a check came to.
type Grade string

// The grades, worst first. A note is nothing wrong: something to know.
const (
	GradeCritical  Grade = "critical"
	GradeWarning   Grade = "warning"
	GradeUnchecked Grade = "unchecked" // it could not be checked
	GradeNote      Grade = "note"
	GradeOK        Grade = "ok"
)

// Wrong says that a person should do something.
func (g Grade) Wrong() bool { return g == GradeCritical || g == GradeWarning || g == GradeUnchecked }

// The checks of the doctor, in the order in which they are told.
const (
	CheckMonitors     = "monitors"
	CheckPorts        = "ports"
	CheckCluster      = "cluster"
	CheckClocks       = "clocks"
	CheckCertificates = "certificates"
	CheckDisk         = "disk"
	CheckFencing      = "fencing"
	CheckVersions     = "versions"
	CheckPermissions  = "permissions"
	CheckLosses       = "losses"
)

// Checks lists the checks in order.
func Checks() []string {
	return []string{
		CheckMonitors, CheckPorts, CheckCluster, CheckClocks, CheckCertificates, CheckDisk, CheckFencing, CheckVersions, CheckPermissions,
		CheckLosses,
	}
}

// Finding is what one check found: that all is well, or one thing that is not, with what to do.
type Finding struct {
	Check string `json:"check"`
	Grade Grade  `json:"grade"`
	About string `json:"about,omitempty"` // the host, monitor, workload or certificate
	Text  string `json:"text"`
	Do    string `json:"do,omitempty"`
}

// Checkup is what a monitor finds of the cluster, and what the loss of each host would mean now.
type Checkup struct {
	Self     string     `json:"self"` // the monitor that looked
	Findings []Finding  `json:"findings"`
	Losses   []LossItem `json:"losses"` // by host
}

// LossItem is what the loss of a host would mean now.
type LossItem struct {
	Host      string         `json:"host"`
	Site      string         `json:"site"`
	Workloads []ProspectItem `json:"workloads"` // that it owns and that should run; none: nothing of Holter's would be missing
}

// Fate is what would become of a workload.
type Fate string

// The fates.
const (
	FateMoves   Fate = "moves"   // it starts elsewhere by itself
	FateWaits   Fate = "waits"   // for a person
	FateNowhere Fate = "nowhere" // no host can take it
	FateStays   Fate = "stays"   // it may run on this host only: the inventory wants it so
)

// ProspectItem is what would become of one workload if its host were lost.
type ProspectItem struct {
	Workload string   `json:"workload"`
	Fate     Fate     `json:"fate"`
	To       string   `json:"to,omitempty"`
	Plan     string   `json:"plan,omitempty"`
	Evidence []string `json:"evidence"` // what would come by itself before it starts elsewhere; the first of them counts
	Text     string   `json:"text"`
	Do       string   `json:"do,omitempty"`
}

// findings collects what one check found.
type findings struct {
	check string
	list  []Finding
}

func (f *findings) add(grade Grade, about, text, do string) {
	f.list = append(f.list, Finding{f.check, grade, about, text, do})
}

// needs takes over what needs a person anyway. do says what to do where a need does not, %s is what it is about.
func (f *findings) needs(list []Need, do string) {
	for _, need := range list {
		grade := GradeWarning
		if need.Level == LevelCritical {
			grade = GradeCritical
		}
		if need.Command == "" {
			need.Command = strings.ReplaceAll(do, "%s", need.About)
		}
		f.add(grade, need.About, need.Text, need.Command)
	}
}

// orOK says that all is well if nothing is wrong.
func (f *findings) orOK(text string) []Finding {
	for _, one := range f.list {
		if one.Grade.Wrong() {
			return f.list
		}
	}
	return append([]Finding{{Check: f.check, Grade: GradeOK, Text: text}}, f.list...)
}

// checkup finds what is wrong with a cluster as one monitor knows it.
func checkup(look Look) Checkup {
	st := status(look)
	c := Checkup{Self: look.Self, Findings: []Finding{}, Losses: lossItems(look)}
	for _, list := range [][]Finding{
		checkMonitors(look, st), checkCluster(look, st), checkClocks(look), checkCertificates(look), checkFencing(look),
		checkVersions(look, st), checkLosses(c.Losses),
	} {
		c.Findings = append(c.Findings, list...)
	}
	return c
}

func (s *Server) getDoctor(look Look, _ *http.Request) (any, error) {
	return doc(look, "Checkup", checkup(look)), nil
}

// Doctor asks what is wrong with the cluster.
func (c *Client) Doctor(ctx context.Context) (Doc[Checkup], error) {
	return get[Doc[Checkup]](ctx, c, "/v1/doctor")
}
