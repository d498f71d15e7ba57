package supervisor

import (
	"os"
	"runtime"
	"runtime/debug"
)

// slotsPerProc: one thread of Go feeds this many busy executors. More threads
// would only wake each other up, and take processors from the executors.
const slotsPerProc = 8

// beModest limits how much of the machine the supervisor itself uses, unless the
// environment (GOMAXPROCS, GOGC) says otherwise. Measured with no-op tasks on two
// processors: a quarter less of our CPU per task with one thread than with two.
func beModest(slots int) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(min(runtime.NumCPU(), 1+slots/slotsPerProc))
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200) // the heap is a few MB; collecting it less often costs a few more
	}
}
