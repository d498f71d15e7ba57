// Package process starts, signals, measures and waits for operating-system
// processes, and reads the cgroup they live in.
package process
