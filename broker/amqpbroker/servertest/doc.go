// Package servertest starts real servers for tests, Redis and RabbitMQ, each with
// ports and data of its own, and breaks the connections to them.
//
// Processes are ended by their process group, never by name. A server that is not
// installed skips the test.
package servertest
