package main

import (
	"strings"
	"testing"
)

// What is said of a message with the task id I and the tag T by a publisher, kombu's two
// connections, and scripts.
const (
	publishes = `1.0 [0 1.1.1.1:1] "LPUSH" "default" "{\"correlation_id\": \"I\", \"delivery_tag\": \"T\"}"`
	asks      = `1.1 [0 1.1.1.1:2] "BRPOP" "default" "default\x06\x163" "1"`
	books     = `1.2 [0 1.1.1.1:3] "MULTI"
1.2 [0 1.1.1.1:3] "ZADD" "unacked_index" "1.2" "T"
1.2 [0 1.1.1.1:3] "HSET" "unacked" "T" "[{\"correlation_id\": \"I\"}, \"\", \"default\"]"
1.2 [0 1.1.1.1:3] "EXEC"`
	settles = `1.3 [0 1.1.1.1:3] "MULTI"
1.3 [0 1.1.1.1:3] "HDEL" "unacked" "T"
1.3 [0 1.1.1.1:3] "EXEC"`
	restores = `1.4 [0 1.1.1.1:4] "WATCH" "unacked"
1.4 [0 1.1.1.1:4] "HGET" "unacked" "T"
1.4 [0 1.1.1.1:4] "MULTI"
1.4 [0 1.1.1.1:4] "HDEL" "unacked" "T"
1.4 [0 1.1.1.1:4] "RPUSH" "default" "{\"correlation_id\": \"I\"}"
1.4 [0 1.1.1.1:4] "EXEC"`
	crisperRestores = `1.4 [0 1.1.1.1:5] "EVALSHA" "abc" "1" "unacked" "T"
1.4 [0 lua] "HDEL" "unacked" "T"
1.4 [0 lua] "RPUSH" "default" "{\"correlation_id\": \"I\"}"`
	removes = `1.5 [0 lua] "LREM" "default" "1" "x"`
	other   = `1.6 [0 1.1.1.1:3] "HDEL" "unacked" "another"`
)

func heard(parts ...string) *wire {
	w := &wire{}
	for _, line := range strings.Split(strings.Join(parts, "\n"), "\n") {
		w.add("+" + line)
	}
	return w
}

func TestALostTaskIsCelerysOnlyIfItWasPoppedAndNeverBooked(t *testing.T) {
	for _, c := range []struct {
		name    string
		wire    *wire
		waiting string
		want    bool
	}{
		{"popped and never booked", heard(publishes, asks), "", true},
		{"popped by who had asked before", heard(asks, publishes), "", true},
		{"never popped", heard(publishes), "", false},
		{"still there", heard(publishes, asks), `["I"]`, false},
		{"booked, and acknowledged", heard(publishes, asks, books, settles), "", false},
		{"booked, put back and popped again", heard(publishes, asks, books, restores, asks), "", false},
		{"taken away by somebody else", heard(publishes, asks, removes), "", false},
		{"never published", heard(asks), "", false},
	} {
		if got := c.wire.lost("I", c.waiting); got != c.want {
			t.Errorf("%s: Celery's own: %t", c.name, got)
		}
	}
}

func TestADoubledTaskIsCelerysOnlyIfItPutItBackAndNoAcknowledgmentHadArrived(t *testing.T) {
	for _, c := range []struct {
		name string
		wire *wire
		want bool
	}{
		{"put back by kombu, acknowledgment lost", heard(publishes, asks, books, restores, asks, books, settles), true},
		{"twice", heard(publishes, asks, books, restores, asks, books, other, restores, asks, books), true},
		{"the acknowledgment came after that", heard(publishes, asks, books, restores, settles, asks, books), true},
		{"acknowledged before", heard(publishes, asks, books, settles, restores, asks, books), false},
		{"put back by our script", heard(publishes, asks, books, crisperRestores, asks, books), false},
		{"once by kombu and once by our script", heard(publishes, asks, books, restores, asks, books, crisperRestores, asks, books), false},
		{"taken once and run twice", heard(publishes, asks, books, restores), false},
		{"taken twice and never put back", heard(publishes, asks, books, books), false},
	} {
		if got := c.wire.doubled("I"); got != c.want {
			t.Errorf("%s: Celery's own: %t", c.name, got)
		}
	}
}
