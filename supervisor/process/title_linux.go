package process

import "os"

// Title sets the name that ps -e, top and the OOM killer's log show for this
// process, cut to 15 bytes by the kernel. It goes through the file of the thread
// group's leader, whichever thread we are on; argv, which `ps -f` shows, belongs
// to the Go runtime and stays.
func Title(name string) error { return os.WriteFile("/proc/self/comm", []byte(name), 0) }
