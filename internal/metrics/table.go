package metrics

import "github.com/prometheus/client_golang/prometheus"

// metric is one that is put out at each scrape. The histogram of steps stands beside them.
type metric struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	name   string
	help   string
	labels []string
}

// all is every metric that was declared below.
var all []metric

func declare(kind prometheus.ValueType, name, help string, labels ...string) metric {
	m := metric{desc: prometheus.NewDesc(name, help, labels, nil), kind: kind, name: name, help: help, labels: labels}
	all = append(all, m)
	return m
}

func gauge(name, help string, labels ...string) metric {
	return declare(prometheus.GaugeValue, name, help, labels...)
}

func counter(name, help string, labels ...string) metric {
	return declare(prometheus.CounterValue, name, help, labels...)
}

// The cluster and its log.
var (
	buildInfo     = gauge("holter_build_info", "The program that answers.", "version", "goversion")
	leading       = gauge("holter_raft_leading", "1 on the monitor that leads and has applied all that was committed before.")
	leaderKnown   = gauge("holter_raft_leader_known", "1 if this monitor knows a leader.")
	term          = gauge("holter_raft_term", "Raft's term as this monitor knows it.")
	contact       = gauge("holter_raft_leader_contact_seconds", "Time since this monitor heard the leader; 0 on the leader; absent if it never did.")
	lastIndex     = gauge("holter_raft_last_index", "Index of the newest entry on this monitor's disk.")
	committed     = gauge("holter_raft_committed_index", "Index up to which a majority has the log, as this monitor knows.")
	applied       = gauge("holter_raft_applied_index", "Index up to which this monitor has applied the log.")
	snapshotAge   = gauge("holter_raft_snapshot_age_seconds", "Age of this monitor's newest snapshot; absent if there is none.")
	refused       = counter("holter_log_refused_entries_total", "Entries of the log that were refused when they were applied.")
	monitorAnswer = gauge("holter_monitor_answers", "1 if this monitor hears that one.", "monitor")
	monitorAble   = gauge("holter_monitor_able", "1 if that monitor can judge hosts now, by its own word.", "monitor")
)

// Hosts.
var (
	hostCount    = gauge("holter_hosts", "Hosts by the one word that every screen says.", "word")
	siteHosts    = gauge("holter_site_hosts", "Hosts of a site by word.", "site", "word")
	quarantined  = gauge("holter_hosts_quarantined", "Hosts that take no workload because they were lost too often.")
	silenced     = gauge("holter_hosts_silenced", "Hosts whose silence is wanted now.")
	strangers    = gauge("holter_hosts_strange", "Hosts that beat and are in no inventory.")
	losses       = counter("holter_host_losses_total", "Losses of hosts since the cluster was formed.")
	detectorAge  = gauge("holter_detector_age_seconds", "Age of the newest sign of life of the joined hosts, by statistic: median, p99, max.", "stat")
	hostAge      = gauge("holter_host_age_seconds", "Age of the newest sign of life of a joined host; up to 500 hosts.", "host")
	leaseLeftMin = gauge("holter_lease_left_min_seconds", "Time until the first lease of a joined host that fences itself ends; negative: since.")
	leaseLeft    = gauge("holter_host_lease_left_seconds", "Time until the lease of a joined host that fences itself ends; negative: since; up to 500 hosts.", "host")
	leasesFailed = gauge("holter_leases_not_held", "Joined hosts that should fence themselves and do not hold their lease.")
	fenceDevices = gauge("holter_fence_devices", "Fence devices by what came of their last test: ok, failed, untested.", "result")
	fenceAgeMax  = gauge("holter_fence_test_age_max_seconds", "Age of the oldest last test of a fence device; absent if none was tested.")
	fenceAge     = gauge("holter_fence_test_age_seconds", "Age of the last test of a fence device; up to 500 hosts.", "host", "device")
	fenceOK      = gauge("holter_fence_test_ok", "1 if the last test of a fence device went well; up to 500 hosts.", "host", "device")
)

// Workloads and runs.
var (
	workloadCount   = gauge("holter_workloads", "Workloads by the one word that every screen says.", "word")
	workloadWanted  = gauge("holter_workloads_wanted", "Workloads by what they should be doing: running, stopped, never (Holter never had them).", "wanted")
	workloadRunning = gauge("holter_workloads_running", "Workloads that an agent reports as running on at least one host.")
	runsOpen        = gauge("holter_runs_open", "Open runs by where they stand.", "state")
	runsStarted     = counter("holter_runs_started_total", "Runs that were started since the cluster was formed.")
	runsEnded       = counter("holter_runs_ended_total", "Runs that have ended since the cluster was formed, by outcome.", "outcome")
	plansArmed      = gauge("holter_plans", "Plans by whether they may start by themselves.", "armed")
)

// This process.
var (
	busConnected  = gauge("holter_bus_connected", "1 if this monitor reaches NATS.")
	busDropped    = counter("holter_bus_dropped_messages_total", "Messages that no handler of this process took in time.")
	loopDropped   = counter("holter_monitor_dropped_messages_total", "Messages that this monitor's loop did not take in time, or could not read.")
	certExpiry    = gauge("holter_certificate_expiry_seconds", "Time until a certificate that this monitor uses expires; negative: since.", "holder")
	notifyWaiting = gauge("holter_notify_waiting_events", "Events that wait in a channel to be sent.", "channel")
	notifySent    = counter("holter_notify_sent_total", "Events that a channel has delivered.", "channel")
	notifyFailed  = counter("holter_notify_failed_tries_total", "Tries of a channel to deliver that failed.", "channel")
	notifyDropped = counter("holter_notify_dropped_total", "Events that a channel gave up.", "channel")
	published     = gauge("holter_event_stream_index", "Index of the newest event that this monitor published on NATS.")
)
