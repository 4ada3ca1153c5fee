package guest_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/holter-ha/holter/integration/testbed"
	"github.com/holter-ha/holter/integration/testbed/guest"
)

// skipping is a test that keeps why it was skipped to itself.
type skipping struct {
	testing.TB
	why string
}

func (s *skipping) Skip(args ...any) {
	s.why = fmt.Sprintln(args...)
	runtime.Goexit()
}

func TestWithoutQEMUItIsSaidWhatIsLeftOut(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	s := &skipping{TB: t}
	var asking sync.WaitGroup
	asking.Go(func() { guest.Require(s) })
	asking.Wait()
	if !strings.HasPrefix(s.why, testbed.LeftOut) || !strings.Contains(s.why, "qemu-system-x86") || strings.Count(s.why, "\n") != 1 {
		t.Errorf("why the test is skipped: got %q, want one line that names the package", s.why)
	}
}
