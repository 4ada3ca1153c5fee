package guard

import (
	"errors"
	"os"
	"runtime"
	"strconv"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

const (
	// processors is how many threads of Go run at once: the loop, and a look that is under way beside it.
	processors = 2
	// nicest is the priority above that of every other ordinary process. SCHED_FIFO would go further and can stop a machine
	// for good: a thread of the Go runtime that spins there, waiting for one that is not scheduled, is never interrupted.
	nicest = -20
)

// Harden makes this process one of the last to suffer when the machine is short of memory, disk or processors. Each measure is
// taken as far as it is permitted; the log tells which was not.
func Harden(log zerolog.Logger) {
	runtime.GOMAXPROCS(processors)
	note := func(measure string, err error) {
		if err != nil {
			log.Warn().Err(err).Str("measure", measure).Msg("guard was not hardened in full")
		}
	}
	note("stay in memory", stayInMemory())
	note("priority", prioritise())
	note("survive a lack of memory", os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0))
}

// stayInMemory loads all of the program now, so that killing needs no disk, and keeps what is used later. What is only
// reserved, which in a Go program is a lot, takes no memory.
func stayInMemory() error {
	if err := unix.Mlockall(unix.MCL_CURRENT); err != nil {
		return err
	}
	return unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
}

// prioritise sets the priority of all threads; Linux keeps one for each, and later ones inherit it.
func prioritise() error {
	tasks, err := os.ReadDir("/proc/self/task")
	for _, task := range tasks {
		if tid, e := strconv.Atoi(task.Name()); e == nil {
			err = errors.Join(err, unix.Setpriority(unix.PRIO_PROCESS, tid, nicest))
		}
	}
	return err
}
