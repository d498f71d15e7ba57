package process

// Memory is what a cgroup knows of its memory, in bytes.
type Memory struct {
	// Current is what the kernel's OOM killer looks at as nearly as can be read:
	// usage without the page cache that is thrown away first (inactive_file).
	Current int64
	// Limit is the tightest one that applies; 0: none.
	Limit int64
	// WorkingSet is what Kubernetes shows and evicts by. It is Current by
	// definition: the kubelet subtracts inactive_file too, floor 0. It is a field
	// of its own because it stays the kubelet's figure if Current is ever refined.
	WorkingSet int64
	// OOMKills counts the processes killed by the OOM killer in this cgroup.
	OOMKills int64
}
