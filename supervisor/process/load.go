package process

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// System is Python's platform.system().
var System = map[string]string{"linux": "Linux", "darwin": "Darwin"}[runtime.GOOS]

// LoadAverage is the machine's, as os.getloadavg gives it; zero where it cannot
// be read. The file is the kernel's memory: reading it waits for nothing.
func LoadAverage() (load [3]float64) {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return load
	}
	for i, field := range strings.Fields(string(text)) {
		if i < len(load) {
			load[i], _ = strconv.ParseFloat(field, 64) // the kernel writes numbers
		}
	}
	return load
}
