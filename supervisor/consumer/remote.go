package consumer

import (
	"encoding/json"
	"time"

	"crisper/broker/celerymsg"
)

// SetLimits gives a task new time limits (remote control's time_limit), 0 for none;
// messages that come with their own keep them. false: there is no such task.
func (c *Consumer) SetLimits(task string, soft, hard time.Duration) bool {
	p := c.plans[task]
	if p == nil {
		return false
	}
	p.task.Soft, p.task.Hard = soft, hard
	p.soft, p.hard = first(soft, c.cfg.SoftLimit), first(hard, c.cfg.HardLimit)
	p.run = Run{Soft: p.soft, Hard: p.hard, Late: p.task.AcksLate}
	return true
}

// Stamps are the values of a message by stamp, as revokedStamp compares them.
func Stamps(m *celerymsg.Message) map[string][]string {
	var names []string
	var headers struct {
		Stamps map[string]json.RawMessage `json:"stamps"`
	}
	if json.Unmarshal(m.StampedHeaders, &names) != nil || json.Unmarshal(m.Headers, &headers) != nil {
		return nil
	}
	stamps := make(map[string][]string, len(names))
	for _, name := range names {
		if text, ok := headers.Stamps[name]; ok {
			stamps[name] = scalars(text)
		}
	}
	return stamps
}
