// Package reaper collects exit statuses when we are PID 1 or a subreaper,
// without stealing those of os/exec.
package reaper
