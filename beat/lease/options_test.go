package lease_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"crisper/beat/lease"
	"crisper/beat/lease/leasetest"
)

func TestOptionsThatCannotWorkAreNamedAllAtOnce(t *testing.T) {
	for _, c := range []struct {
		name string
		opts lease.Options
		want []string // nothing: they are right
	}{
		{"the defaults", lease.Options{}, nil},
		{"client-go's", lease.Options{LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second}, nil},
		{"those of the suite", leasetest.Quick(), nil},
		{"no whole second", lease.Options{LeaseDuration: 5500 * time.Millisecond}, []string{"whole number of seconds"}},
		{"a deadline as long as the lease", lease.Options{RenewDeadline: 6 * time.Second}, []string{"renew deadline (6s) must be shorter than the lease duration (6s)"}},
		{"a deadline before the renewal", lease.Options{RenewDeadline: 2 * time.Second}, []string{"must be longer than a third"}},
		{"no room to retry", lease.Options{RetryPeriod: 1100 * time.Millisecond}, []string{"leaves no room for a second attempt"}},
		{"negative", lease.Options{RetryPeriod: -1, GiveUpAfter: -1}, []string{"retry period", "give up"}},
	} {
		err := c.opts.Validate()
		if (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, want := range c.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not say %q", c.name, err, want)
			}
		}
	}
}

func TestRunRefusesWrongOptions(t *testing.T) {
	var m leasetest.Memory
	e := lease.New(m.Open(), lease.Options{RenewDeadline: time.Hour})
	if err := e.Run(t.Context(), func(context.Context, lease.Term) {}); err == nil {
		t.Error("it campaigns")
	}
}

func TestEveryProcessHasANameOfItsOwn(t *testing.T) {
	if a, b := lease.Identity(), lease.Identity(); a == b {
		t.Errorf("two are called %s", a)
	}
}
