package process

import (
	"runtime/debug"
	"runtime/metrics"
)

// trimWorth is how much there must be to give back: a collection costs milliseconds.
const trimWorth = 1 << 20

// Trim gives back the memory that a busy time has left behind, if it is worth it.
// It waits for nobody but may take milliseconds.
func Trim() {
	if spare() >= trimWorth {
		debug.FreeOSMemory()
	}
}

// TrimStart is Trim after the start, once: it also takes the pages of our own program
// out of our memory. Most of what is mapped ran only while it started (every package's
// initialisation) or lies beside a page that did; what goes on being used comes back
// from the page cache, without a read.
func TrimStart() {
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
