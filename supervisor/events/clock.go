package events

// Clock is a Lamport clock (kombu/clocks.py).
type Clock struct{ value int64 }

// Value is the clock's present value.
func (c *Clock) Value() int64 { return c.value }

// Forward is for something that happened here.
func (c *Clock) Forward() int64 {
	c.value++
	return c.value
}

// Adjust is for a message that came with somebody else's clock.
func (c *Clock) Adjust(other int64) int64 {
	c.value = max(c.value, other) + 1
	return c.value
}
