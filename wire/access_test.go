package wire

import (
	"slices"
	"strings"
	"testing"
)

// TestAgentSubjects holds that an agent speaks and hears for its own host only, and that nobody is both.
func TestAgentSubjects(t *testing.T) {
	publishes, hears := AgentPublishes("east-2"), AgentHears("east-2")
	for _, subject := range slices.Concat(publishes, hears) {
		if HostOf(subject) != "east-2" || strings.ContainsAny(subject, "*>") {
			t.Errorf("%s is not about the host", subject)
		}
	}
	if len(publishes) != 6 || len(hears) != 4 {
		t.Errorf("an agent publishes %d subjects and hears %d, want 6 and 4", len(publishes), len(hears))
	}
	for _, subject := range publishes {
		if slices.Contains(hears, subject) {
			t.Errorf("%s goes both ways: an agent could answer itself", subject)
		}
	}
	if Everything() != "holter.v1.>" {
		t.Errorf("got %s", Everything())
	}
}
