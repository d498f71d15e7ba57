package redisbroker

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"crisper/broker"
	"crisper/broker/brokertest"
	"crisper/broker/celerymsg"
)

// longAgo is a score that has a fraction, as real ones: the Lua of miniredis cannot read 1e+09.
const longAgo = 1e9 + 0.25

// stockTakes writes what kombu writes when it takes a message.
func (s *server) stockTakes(t *testing.T, tag, queue string, payload []byte, score float64) broker.Held {
	t.Helper()
	record := append(append([]byte("["), payload...), unackedTail(queue)...)
	ctx := context.Background()
	if err := s.client.HSet(ctx, s.keys.unacked, tag, record).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.client.ZAdd(ctx, s.keys.index, redis.Z{Member: tag, Score: score}).Err(); err != nil {
		t.Fatal(err)
	}
	return broker.Held{Tag: broker.Tag(tag), Low: score - 0.001, High: score + 0.001}
}

func keeper(t *testing.T, s *server) *Keeper {
	t.Helper()
	k, err := NewKeeper(s.config(""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

func ids(t *testing.T, payloads [][]byte) (names []string) {
	t.Helper()
	for _, p := range payloads {
		m := celerymsg.ParseEnvelope(p)
		names = append(names, m.ID)
	}
	return names
}

func TestWhatADeadStockWorkerHeldGoesBackInOrderAndOnce(t *testing.T) {
	s := mini(t)
	k := keeper(t, s)
	s.Publish(t, "q", 0, brokertest.Payload("later", 0))
	var held []broker.Held
	for i, id := range []string{"a", "b", "c"} {
		held = append(held, s.stockTakes(t, "tag-"+id, "q", brokertest.Payload(id, 0), longAgo+float64(i)))
	}
	held = append(held, broker.Held{Tag: "acknowledged", Low: longAgo})
	for try, want := range []int{3, 0} {
		returned, err := k.Restore(t.Context(), held)
		if err != nil || len(returned) != want {
			t.Fatalf("try %d: got %v, %v", try, returned, err)
		}
	}
	if diff := cmp.Diff([]string{"id-a", "id-b", "id-c", "id-later"}, ids(t, s.Waiting(t, "q"))); diff != "" {
		t.Error(diff)
	}
	if n := s.client.HLen(t.Context(), s.keys.unacked).Val() + s.client.ZCard(t.Context(), s.keys.index).Val(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
	if !strings.Contains(string(s.Waiting(t, "q")[0]), `"redelivered": true`) {
		t.Error("not marked as redelivered")
	}
}

func TestADeliveryThatIsDoneIsAcknowledgedAndDoesNotGoBack(t *testing.T) {
	s := mini(t)
	k := keeper(t, s)
	done := s.stockTakes(t, "tag-done", "q", brokertest.Payload("done", 0), longAgo)
	done.Done = true
	open := s.stockTakes(t, "tag-open", "q", brokertest.Payload("open", 0), longAgo+1)
	others := s.stockTakes(t, "tag-others", "q", brokertest.Payload("others", 0), longAgo+2)
	others.Done, others.High = true, longAgo+1
	others.Low = longAgo
	returned, err := k.Restore(t.Context(), []broker.Held{done, open, others})
	want := []broker.Returned{{Tag: "tag-open", Queue: "q"}, {Tag: "tag-done", Acked: true}}
	if diff := cmp.Diff(want, returned); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if diff := cmp.Diff([]string{"id-open"}, ids(t, s.Waiting(t, "q"))); diff != "" {
		t.Error(diff)
	}
	if left := s.client.HKeys(t.Context(), s.keys.unacked).Val(); !cmp.Equal(left, []string{"tag-others"}) {
		t.Errorf("in hand are %q", left)
	}
}

func TestADeliveryThatAnotherHasTakenSinceIsNeitherRenewedNorRestored(t *testing.T) {
	s := mini(t)
	k := keeper(t, s)
	old := s.stockTakes(t, "tag", "q", brokertest.Payload("a", 0), longAgo)
	s.stockTakes(t, "tag", "q", brokertest.Payload("a", 0), longAgo+60) // restored and taken again: the same tag
	mine := s.stockTakes(t, "mine", "q", brokertest.Payload("b", 0), longAgo)
	scores, err := k.Renew(t.Context(), []broker.Held{old, mine, {Tag: "gone", Low: longAgo}})
	if err != nil || scores[0] != -1 || scores[1] < 1.7e9 || scores[2] != 0 {
		t.Fatal(scores, err)
	}
	if got := s.client.ZScore(t.Context(), s.keys.index, "mine").Val(); got != scores[1] {
		t.Errorf("the score is %f, told %f", got, scores[1])
	}
	if returned, err := k.Restore(t.Context(), []broker.Held{old, mine}); err != nil || len(returned) != 0 {
		t.Fatal(returned, err) // mine has a new score, too
	}
	mine.Low, mine.High = scores[1], scores[1]
	if returned, err := k.Restore(t.Context(), []broker.Held{old, mine}); err != nil || len(returned) != 1 || returned[0].Tag != "mine" {
		t.Fatal(returned, err)
	}
}

func TestRenewedDeliveriesKeepTheirOrder(t *testing.T) {
	s := mini(t)
	k := keeper(t, s)
	var held []broker.Held
	for _, tag := range []string{"z", "a", "m"} {
		held = append(held, s.stockTakes(t, tag, "q", brokertest.Payload(tag, 0), longAgo))
	}
	if _, err := k.Renew(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	if got := s.client.ZRange(t.Context(), s.keys.index, 0, -1).Val(); !cmp.Equal(got, []string{"z", "a", "m"}) {
		t.Error(got)
	}
}

func TestAMessageThatKeepsKillingStockWorkersIsParked(t *testing.T) {
	s := mini(t)
	k := keeper(t, s)
	payload := brokertest.Payload("a", 0)
	for death := 1; death <= 3; death++ {
		held := s.stockTakes(t, "tag", "q", payload, longAgo)
		held.Died, held.Limit = true, 3
		returned, err := k.Restore(t.Context(), []broker.Held{held})
		if err != nil || len(returned) != 1 || returned[0].Deaths != death || returned[0].Parked != (death == 3) {
			t.Fatal(death, returned, err)
		}
		if death < 3 {
			payload = s.Waiting(t, "q")[0]
			s.client.Del(t.Context(), s.keys.list("q", 0))
		}
	}
	var letter deadLetter
	if letters := s.Parked(t); len(letters) != 1 || json.Unmarshal(letters[0], &letter) != nil || letter.Deaths != 3 || letter.Queue != "q" {
		t.Fatalf("%+v", letter)
	}
}

func TestAKeeperCountsAllPrioritiesAndComesBackAfterAFailure(t *testing.T) {
	s := mini(t)
	k := keeper(t, s)
	s.Publish(t, "q", 0, brokertest.Payload("a", 0))
	s.Publish(t, "q", 9, brokertest.Payload("b", 9))
	gaveUp, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.Ready(gaveUp, []string{"q"}); err == nil {
		t.Error("no error")
	}
	ready, err := k.Ready(t.Context(), []string{"q", "other"})
	if err != nil || ready["q"] != 2 || ready["other"] != 0 {
		t.Fatal(ready, err)
	}
}
