// Package celerymsg reads the headers and properties of Celery's task protocol
// and never looks into the body.
//
// Headers and body pass through byte for byte, unknown headers included; the
// only thing ever written into a message is what kombu writes too (the
// redelivered marks) and our death count.
//
// ParseEnvelope goes through an envelope once and never fails: Kind and Problem
// say what cannot be run, and why. AppendRequest writes the request that Celery's
// tracer wants, MarkRestored gives an envelope the marks of a restore, ParseTime
// reads eta and expires. A body is looked into only where nothing else names the
// task (protocol 1). A compressed body stays compressed: the child undoes it.
package celerymsg

import "time"

// Message is one task message. Its byte slices may alias the envelope it was
// parsed from and must not be modified; its strings are its own.
type Message struct {
	// Raw is the envelope as the broker keeps it (Redis: kombu's JSON).
	Raw []byte
	// Headers and Properties are JSON objects.
	Headers, Properties []byte
	// Body is the serialized body with the transport's encoding (base64) removed.
	Body                         []byte
	ContentType, ContentEncoding string

	// What follows is read from Headers and Properties; zero when absent.

	Task, ID   string
	Shadow     string // display name
	RootID     string
	ParentID   string
	Group      string
	ETA        string // ISO 8601 as sent
	Expires    string // ISO 8601 as sent
	Retries    int
	HardLimit  time.Duration
	SoftLimit  time.Duration
	ReplyTo    string
	Priority   int
	Exchange   string
	RoutingKey string
	// IgnoreResult is nil when the header is absent or null.
	IgnoreResult *bool
	ArgsRepr     string
	KwargsRepr   string
	// StampedHeaders is the JSON of stamped_headers, nil when absent.
	StampedHeaders []byte
	Redelivered    bool
	Deaths         int
	// Problem is empty for a message that can be routed. Otherwise it says in
	// words why not; Kind says which of Celery's ways it takes.
	Problem string
	Kind    Kind
}

// Kind sorts messages by the way they take (celery/worker/consumer/consumer.py).
type Kind uint8

// The kinds.
const (
	// Protocol2: headers carry the task name.
	Protocol2 Kind = iota
	// Protocol1: the body carries it. Converted to protocol 2 on reading when the
	// body is JSON.
	Protocol1
	// Unknown: neither. Celery logs it, rejects it and sends task_rejected.
	Unknown
	// Undecodable: the envelope or the body cannot be decoded. Celery acks it.
	Undecodable
)
