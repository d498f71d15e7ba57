package wire

// Kind is the type of a frame.
type Kind byte

// The kinds; doc.go has their payloads.
const (
	Task    Kind = 'T'
	Large   Kind = 'L'
	Exit    Kind = 'X'
	Hello   Kind = 'H'
	Begun   Kind = 'B'
	Done    Kind = 'D'
	Request Kind = 'R'
	Answer  Kind = 'A'
	Options Kind = 'O'
	Fork    Kind = 'F'
	Loaded  Kind = 'C'
	Forked  Kind = 'K'
	Failed  Kind = 'N'
	Notice  Kind = 'W'
)

// Outcome is how a task body ended, as the executor saw it.
type Outcome byte

// The outcomes. What Celery does about each is decided by the consumer.
const (
	Success       Outcome = 1 // result stored by the tracer
	Failure       Outcome = 2 // exception; stored by the tracer
	Retry         Outcome = 3 // a new message has been sent by the tracer
	Ignored       Outcome = 4
	Rejected      Outcome = 5 // Reject(requeue=False)
	RejectedAgain Outcome = 6 // Reject(requeue=True)
	Undecodable   Outcome = 7 // DecodeError: Celery acks it
	Invalid       Outcome = 8 // ContentDisallowed, InvalidTaskError: Celery rejects it
	Exited        Outcome = 9 // SystemExit or KeyboardInterrupt: as a lost worker; exception holds the text
	OutOfMemory   Outcome = 10
)

// Header and limits, in bytes.
const (
	HeaderSize = 13
	// MaxInline is the largest frame sent through a SEQPACKET socket.
	MaxInline = 96 << 10
	// MaxFrame bounds what is accepted from a child; more ends the child.
	MaxFrame = 64 << 20
	PageSize = 4096
)
