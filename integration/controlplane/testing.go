package controlplane

import (
	"context"
	"testing"
)

// Start starts a control plane for a test. It is ended with the test, and its
// directory removed when the test has passed.
func Start(t *testing.T) *ControlPlane { return StartWith(t, Options{}) }

// StartWith is Start with options.
func StartWith(t *testing.T, o Options) *ControlPlane {
	t.Helper()
	c, err := Make(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			c.Remove()
			return
		}
		c.Close()
		t.Logf("%s\nkept: %s", c.Tails(), c.Dir)
	})
	return c
}
