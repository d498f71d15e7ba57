package beat

import (
	"crypto/sha1" //nolint:gosec // what RFC 9562 wants for version 5; it protects nothing
	"fmt"
	"strconv"
	"time"
)

// TaskID is the id of a tick's task: a UUID (version 5) made of the schedule's name,
// the entry's and the due moment. Whoever publishes the tick gives it the same id.
func TaskID(schedule, entry string, due time.Time) string {
	// A NUL keeps names apart; no Celery name has one.
	name := "crisper-beat\x00" + schedule + "\x00" + entry + "\x00" + strconv.FormatInt(due.UnixMicro(), 10)
	sum := sha1.Sum([]byte(name)) //nolint:gosec // as above
	u := sum[:16]
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
