// Package process starts, signals, measures and waits for operating-system
// processes, and reads the cgroup they live in.
//
// # What it is
//
// The measuring instruments of the supervisor, each asked and answering: nothing
// here runs by itself or decides, and only a Meter remembers. (Waiting, and
// signals that must not hit a stranger, are package reaper's.)
//
//	PrivateMemory, PSS, TreeMemory   what a process weighs
//	Meter                            what many weigh, often, for 1 % of a CPU
//	OpenCgroup, Usage                what the pod weighs, and may weigh
//	CPUBudget                        how many executors --concurrency auto means
//	Trim                             our own memory back to the kernel
//	Explain                          a death, with the numbers that make it believable
//	SetOOMScoreAdj, Title, TerminationMessage
//
// # The memory of a process
//
// What counts is what would be free if the process were not there: the private
// pages of smaps_rollup. RSS counts the preloaded application once for each of
// the zygote's children, and the peak (what Celery's limit looks at) never falls
// again. PSS is for sums: it divides each shared page among those who have it.
// The kernel walks the page tables for it, so that a process is the more expensive
// to measure the more it has, some 20 µs per MiB; Meter walks seldom and adds what
// resident memory grew by meanwhile.
//
// # The memory of the pod
//
// The OOM killer comes when a charge fails after reclaim, and page cache that
// nobody has touched twice is what reclaim takes first and for nothing. The
// cgroup's plain usage therefore says "full" after any large file was read, long
// before anything is wrong. Current is usage minus inactive_file, with both
// versions of the interface; the kubelet evicts by the same number. Active page
// cache stays counted, although some of it could be reclaimed: the guard should
// rather be early. tmpfs and shared memory are no file pages in this sense, and
// are counted.
//
// In v1 the figures with the prefix total_ are needed: without it they are those
// of processes directly in this cgroup, while the usage includes those below.
//
// # Which cgroup
//
//	/proc/self/cgroup has "memory" in a v1 line, and it is mounted ──► v1
//	                                                   otherwise ──► v2 ("0::")
//
// A hybrid system has both, and the v2 tree is then without controllers. From our
// own directory up to the mount, each level can have a limit, and any of them
// kills: Limit is the smallest, and Current is measured at the level that has it.
// OOMKills is that of our own level, which counts our own dead only. In a
// container the path is often the host's and does not exist below the mount,
// which shows our cgroup as its root: then the mount itself is it.
//
// # Authority
//
// The kernel's files. Limits are read at every measurement (pods are resized in
// place); where the cgroup is, is read once. mountinfo says where the trees are
// mounted, not convention.
//
// # Failures
//
// What cannot be read is an error, never a zero, and os.ErrProcessDone where a
// process has ended. Without smaps_rollup, resident minus shared of statm is
// taken, which counts pages shared with the zygote as the process's own. A cgroup
// without a kill counter (before Linux 4.13) counts none.
//
// # What it deliberately does not do
//
// No notification of pressure (PSI, eventfd): measurements are asked for, a few
// times a second, and cost less than the plumbing. No change of anybody's cgroup.
// Outside Linux every measurement says that it is unsupported, and the callers go
// without.
package process
