package reaper

import (
	"syscall"
	"testing"
)

func TestAStatusSaysHowTheProcessEnded(t *testing.T) {
	tests := []struct {
		status Status
		want   string
		ok     bool
	}{
		{Status{}, "exit status 0", true},
		{Status{Code: 3}, "exit status 3", false},
		{Status{Code: -1, Signal: syscall.SIGKILL}, "signal 9 (SIGKILL)", false},
		{Status{Code: -1, Signal: syscall.SIGSEGV, CoreDumped: true}, "signal 11 (SIGSEGV), core dumped", false},
		{Status{Code: -1, Signal: 64}, "signal 64", false},
		{Status{Code: -1, Unknown: true}, "exit status unknown", false},
	}
	for _, tt := range tests {
		if got := tt.status.String(); got != tt.want || tt.status.OK() != tt.ok {
			t.Errorf("%+v: %q, OK %v; want %q, %v", tt.status, got, tt.status.OK(), tt.want, tt.ok)
		}
	}
}
