// Package endpoint is what all brokers read in the same way of how they are reached: what is
// quoted in a URL, broker_use_ssl, and the frame of broker_transport_options. What the transports
// of kombu read differently (which names there are, what holds where nothing is said) is theirs.
package endpoint
