package lease_test

import (
	"testing"

	"crisper/beat/lease"
	"crisper/beat/lease/leasetest"
)

func TestARecordInMemoryKeepsALease(t *testing.T) {
	leasetest.ExerciseInBubbles(t, func(t *testing.T) leasetest.Bed {
		var m leasetest.Memory
		return leasetest.Bed{
			Open:   func(testing.TB) lease.Backend { return m.Open() },
			Delete: func(testing.TB) { m.Delete() },
		}
	})
}
