//go:build integration

package redisbroker

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"crisper/broker"
	"crisper/broker/brokertest"
)

// BenchmarkTakeAndSettle64 is the hot path: one op is 64 messages taken and
// acknowledged. server-us/op is what the server spent on both scripts.
func BenchmarkTakeAndSettle64(b *testing.B) {
	s := spawn(b).server()
	w := brokertest.Start(b, s.consumer(b, "w", "q"))
	ctx := context.Background()
	payloads := make([]any, 64)
	for i := range payloads {
		payloads[i] = brokertest.Payload(fmt.Sprintf("7a6d1c54-9c9e-4a0e-8d3e-2f6f0f5d%04d", i), 0)
	}
	spent := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		if err := s.client.LPush(ctx, "q", payloads...).Err(); err != nil {
			b.Fatal(err)
		}
		s.client.ConfigResetStat(ctx)
		b.StartTimer()
		ds, err := w.Take(ctx, 64)
		if err != nil || len(ds) != 64 {
			b.Fatal(len(ds), err)
		}
		if gone, err := w.Settle(ctx, brokertest.All(ds, broker.Ack)); err != nil || len(gone) != 0 {
			b.Fatal(gone, err)
		}
		b.StopTimer()
		spent += scriptMicros(s.client.Info(ctx, "commandstats").Val())
		b.StartTimer()
	}
	b.ReportMetric(float64(spent)/float64(b.N), "server-us/op")
}

func scriptMicros(info string) int64 {
	_, rest, ok := strings.Cut(info, "cmdstat_evalsha:")
	if !ok {
		return 0
	}
	_, rest, _ = strings.Cut(rest, "usec=")
	text, _, _ := strings.Cut(rest, ",")
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}
