package console

import (
	"net/http"

	"github.com/holter-ha/holter/planner"
)

// route is one way of the API, and the role without which it is closed.
type route struct {
	pattern string
	role    planner.Role
	handler http.HandlerFunc
}

// routes is the table of the API.
func (s *Server) routes() []route {
	return append(s.accessRoutes(), []route{
		{"GET /v1/status", planner.Viewer, s.present(s.getStatus)},
		{"GET /v1/doctor", planner.Viewer, s.present(s.getDoctor)},
		{"GET /v1/self", planner.Viewer, s.getSelf},
		{"GET /v1/hosts", planner.Viewer, s.present(s.getHosts)},
		{"GET /v1/hosts/{name}", planner.Viewer, s.present(s.getHost)},
		{"GET /v1/workloads", planner.Viewer, s.present(s.getWorkloads)},
		{"GET /v1/workloads/{name}", planner.Viewer, s.present(s.getWorkload)},
		{"GET /v1/plans", planner.Viewer, s.present(s.getPlans)},
		{"GET /v1/plans/{name}", planner.Viewer, s.present(s.getPlan)},
		{"GET /v1/runs", planner.Viewer, s.present(s.getRuns)},
		{"GET /v1/runs/{id}", planner.Viewer, s.present(s.getRun)},
		{"GET /v1/events", planner.Viewer, s.getEvents},
		{"GET /v1/audit/chain", planner.Viewer, s.getChain},
		{"GET /v1/monitors", planner.Viewer, s.present(s.getMonitors)},
		{"POST /v1/monitors/{name}/{verb}", planner.Admin, s.change(s.postMonitor)},
		{"GET /v1/snapshot", planner.Admin, s.getSnapshot},
		{"GET /healthz", anybody, s.getMounted},
		{"GET /readyz", anybody, s.getMounted},
		{"GET /metrics", planner.Viewer, s.getMounted},
		{"POST /v1/apply", planner.Approver, s.change(s.postApply)},
		{"POST /v1/runs", planner.Operator, s.change(s.postRun)},
		{"POST /v1/runs/{id}/{verb}", planner.Operator, s.change(s.postStep)},
		{"POST /v1/plans/{name}/{verb}", planner.Approver, s.change(s.postArm)},
		{"POST /v1/hosts/{name}/confirm", planner.Approver, s.change(s.postConfirm)},
		{"POST /v1/hosts/{name}/release", planner.Operator, s.change(s.postRelease)},
		{"POST /v1/silences/{name}", planner.Operator, s.change(s.postSilence)},
		{"POST /v1/silences/{name}/end", planner.Operator, s.change(s.postSilenceEnd)},
	}...)
}
