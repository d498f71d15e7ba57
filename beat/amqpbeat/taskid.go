package amqpbeat

import (
	"time"

	"crisper/beat"
)

// TaskID is beat.TaskID: what this package promises stands on it.
func TaskID(schedule, entry string, due time.Time) string { return beat.TaskID(schedule, entry, due) }
