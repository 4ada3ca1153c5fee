package wire

// AgentPublishes lists the subjects that a host's agent publishes on. It may publish on no other.
func AgentPublishes(host string) []string {
	return []string{BeatSubject(host), StatusSubject(host), ClockSubject(host), JoinSubject(host), RenewSubject(host), ResultSubject(host)}
}

// AgentHears lists the subjects that a host's agent subscribes to. It may subscribe to no other.
func AgentHears(host string) []string {
	return []string{OfferSubject(host), AssignSubject(host), AckSubject(host), CommandSubject(host)}
}

// Everything subscribes to all subjects of Holter, which monitors may publish on and hear.
func Everything() string { return prefix + ">" }
