package planner

// Lease voters are named by server id, the configured name of a monitor and serverRandom: what a monitor has renewed is
// remembered by its machine, and the name may pass to another one. A cluster that was formed by an earlier version has plain
// names until its first change of monitors.

// serverRandom is the length of what makes a server id out of a name: "-" and 64 bits in hex.
const serverRandom = 17

// MonitorName is the configured name in a lease voter.
func MonitorName(voter string) string {
	cut := len(voter) - serverRandom
	if cut <= 0 || voter[cut] != '-' {
		return voter
	}
	for _, c := range voter[cut+1:] {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return voter
		}
	}
	return voter[:cut]
}

// MonitorNames are the configured names of lease voters.
func MonitorNames(voters []string) []string {
	names := make([]string, len(voters))
	for i, voter := range voters {
		names[i] = MonitorName(voter)
	}
	return names
}
