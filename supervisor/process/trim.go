package process

import (
	"runtime/debug"
	"runtime/metrics"
)

// trimWorth is how much there must be to give back: a collection costs milliseconds.
const trimWorth = 512 << 10

// Trim gives memory back that only the past has needed, the start or a busy time, if it
// is worth it. It may take milliseconds; nobody has to wait for it.
//
// The pages of our own program go too. Most of what is mapped ran only while it started
// (every package's initialisation) or lies beside a page that did; what goes on being
// used comes back from the page cache, without a read.
func Trim() {
	if spare() < trimWorth {
		return
	}
	debug.FreeOSMemory()
	unmapProgram()
}

// spare is what the heap holds and nobody uses: free, and garbage.
func spare() uint64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(samples)
	free, objects, live := samples[0].Value.Uint64(), samples[1].Value.Uint64(), samples[2].Value.Uint64()
	return free + objects - min(objects, live)
}
