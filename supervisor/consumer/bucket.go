package consumer

import "time"

// Bucket limits a rate: it holds one token, which is back after 1/rate seconds
// (kombu/utils/limits.py, TokenBucket with Celery's capacity of 1). So tasks start
// evenly spaced, never in bursts.
type Bucket struct {
	rate   float64 // tokens per second, above 0
	tokens float64
	at     time.Time
}

// NewBucket returns a full bucket.
func NewBucket(now time.Time, rate float64) *Bucket {
	return &Bucket{rate: rate, tokens: 1, at: now}
}

// Take takes a token if there is one.
func (b *Bucket) Take(now time.Time) bool {
	b.fill(now)
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// Next is when there will be a token.
func (b *Bucket) Next(now time.Time) time.Time {
	b.fill(now)
	if b.tokens >= 1 {
		return now
	}
	// A little more than the time needed: a sum of fractions must not fall short of 1.
	return now.Add(time.Duration((1-b.tokens)/b.rate*float64(time.Second)) + time.Microsecond)
}

func (b *Bucket) fill(now time.Time) {
	if passed := now.Sub(b.at); passed > 0 {
		b.tokens = min(1, b.tokens+b.rate*passed.Seconds())
		b.at = now
	}
}
