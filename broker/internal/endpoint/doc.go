// Package endpoint is what all brokers read in the same way of how they are reached: what is
// quoted in a URL, and broker_use_ssl. What the transports of kombu read differently
// (which names there are, what holds where nothing is said) is theirs.
package endpoint
