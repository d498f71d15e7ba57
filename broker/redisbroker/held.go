package redisbroker

import (
	"bytes"
	"encoding/json"
)

// record is a value of the unacked hash.
type record struct {
	payload              []byte
	exchange, routingKey string
}

// parseRecord reads what we or stock workers wrote. The payload keeps its bytes.
func parseRecord(value []byte) (record, bool) {
	if r, ok := parseOwn(value); ok {
		return r, true
	}
	var parts []json.RawMessage
	if json.Unmarshal(value, &parts) != nil || len(parts) != 3 {
		return record{}, false
	}
	r := record{payload: parts[0]}
	// null and numbers are possible where an app declares odd exchanges: as empty.
	_ = json.Unmarshal(parts[1], &r.exchange)
	_ = json.Unmarshal(parts[2], &r.routingKey)
	return r, true
}

// parseOwn cuts by the tail, which works for payloads that are no JSON too.
func parseOwn(value []byte) (record, bool) {
	const middle = `, "", "`
	at := bytes.LastIndex(value, []byte(middle))
	if at < 1 || value[0] != '[' || value[len(value)-1] != ']' {
		return record{}, false
	}
	r := record{payload: value[1:at]}
	if json.Unmarshal(value[at+len(middle)-1:len(value)-1], &r.routingKey) != nil {
		return record{}, false
	}
	return r, true
}
