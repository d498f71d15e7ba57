package agent

import (
	"encoding/json"
	"fmt"
	"os"

	"crisper/broker"
)

// Remote is what the app says about remote control.
type Remote struct {
	// Broker is what `stats` tells of the connection, without any password.
	Broker json.RawMessage `json:"broker"`
	// Queues are those of the start, as `active_queues` shows them.
	Queues []json.RawMessage `json:"queues"`
	// Commands are those that the app has registered itself.
	Commands []string `json:"commands"`
	// Serializer is task_serializer: replies are written in it.
	Serializer string `json:"serializer"`
}

// Operations of the steward for remote control; none comes with a task.
const (
	OpPanel       = "panel"        // {"method", "arguments", "rate_limits"}: Reply is an Encoded
	OpEncode      = "encode"       // {"reply"}: Reply is an Encoded
	OpMail        = "mail"         // {"body" (base64), "content_type", "content_encoding"}: Reply is the body as JSON
	OpMarkRevoked = "mark_revoked" // {"ids"}: the backend is told of tasks that do not run
	OpStateDB     = "statedb"      // {"path"}: Reply is what Celery kept there
	OpAddQueue    = "add_queue"    // {"arguments"} of add_consumer: Reply is a NewQueue
)

// Encoded is a reply as Celery's serializer wrote it.
type Encoded struct {
	ContentType     string `json:"content_type"`
	ContentEncoding string `json:"content_encoding"`
	Body            []byte `json:"body"`
	// File holds the body when it is too large for a packet.
	File string `json:"file"`
}

// Bytes is the body, wherever it is; a file is removed.
func (e Encoded) Bytes() ([]byte, error) {
	if e.File == "" {
		return e.Body, nil
	}
	body, err := os.ReadFile(e.File)
	_ = os.Remove(e.File) // it is in a directory for such things
	if err != nil {
		return nil, fmt.Errorf("cannot read the steward's reply: %w", err)
	}
	return body, nil
}

// NewQueue is a queue that Celery's own code has defined.
type NewQueue struct {
	Queue broker.Queue    `json:"queue"`
	Shown json.RawMessage `json:"shown"`
}
