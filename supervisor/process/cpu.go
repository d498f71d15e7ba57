package process

import (
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
)

// CPU is how many processors there are for us.
type CPU struct {
	// Count is what `--concurrency auto` takes: Available, capped to Quota rounded
	// up, at least 1.
	Count int
	// Available respects the affinity mask (cpusets, taskset).
	Available int
	// Quota is the tightest CFS quota of our cgroup and its ancestors; 0: none.
	Quota float64
}

// CPUBudget says how many processors this process may use.
//
// Celery: celery/utils/sysinfo.py (5.7.0) cpu_budget: the same order (v2, then
// v1), the same rounding. It looks under fixed paths where we ask mountinfo.
func CPUBudget() CPU { return cpuBudget("", "", runtime.NumCPU()) }

func cpuBudget(procRoot, sysRoot string, available int) CPU {
	cpu := CPU{Count: available, Available: available}
	h, err := readHierarchies(procRoot, sysRoot)
	if err != nil {
		return cpu
	}
	cpu.Quota = smallest(h.levels(""), quotaV2)
	if cpu.Quota == 0 {
		cpu.Quota = smallest(h.levels("cpu"), quotaV1)
	}
	if cpu.Quota > 0 {
		cpu.Count = min(available, max(1, int(math.Ceil(min(cpu.Quota, float64(available))))))
	}
	return cpu
}

func smallest(levels []string, quota func(dir string) float64) (least float64) {
	for _, dir := range levels {
		if q := quota(dir); q > 0 && (least == 0 || q < least) {
			least = q
		}
	}
	return least
}

// quotaV2 reads cpu.max: "150000 100000", or "max 100000" for none.
func quotaV2(dir string) float64 {
	quota, period, _ := strings.Cut(readText(dir, "cpu.max"), " ")
	return ratio(quota, period)
}

// quotaV1 reads the two files of v1; a quota of -1 is none.
func quotaV1(dir string) float64 {
	return ratio(readText(dir, "cpu.cfs_quota_us"), readText(dir, "cpu.cfs_period_us"))
}

func ratio(quota, period string) float64 {
	q, err1 := strconv.Atoi(quota)
	p, err2 := strconv.Atoi(period)
	if err1 != nil || err2 != nil || q <= 0 || p <= 0 {
		return 0
	}
	return float64(q) / float64(p)
}

// String is for the log.
func (c CPU) String() string {
	if c.Quota == 0 {
		return fmt.Sprintf("%d CPUs, no quota", c.Available)
	}
	return fmt.Sprintf("a quota of %.2f of %d CPUs", c.Quota, c.Available)
}
