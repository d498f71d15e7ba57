package native

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/supervisor/control"
)

// mingleTime is how long others may take to answer (celery/worker/consumer/mingle.py).
const mingleTime = time.Second

// mingle asks the other workers, once, what has been revoked: nothing is taken
// before they have answered, or had their second. Where nobody else listens, which
// Redis knows, that is at once.
func (l *loop) mingle() {
	r, cfg := l.remote, l.cfg.Remote
	if r.mingled || !cfg.Mingle || r.fanout == nil || cfg.Control == "" {
		return
	}
	r.mingled = true
	if s := l.info.Remote.Serializer; s != "" && s != "json" {
		l.log.Info("mingle: not done, since this app's workers do not speak JSON", zap.String("serializer", s))
		return
	}
	l.log.Info("mingle: searching for neighbors")
	r.waits++
	arguments := map[string]any{"from_node": l.info.Hostname, "revoked": l.consumer.Revoked().IDs()}
	headers := fmt.Appendf(nil, `{"clock": %d, "expires": %f}`, r.clock.Forward(), float64(l.now.Add(mingleTime).UnixMicro())/1e6)
	ticket := fmt.Sprintf("mingle-%s-%d", l.info.Hostname, l.now.UnixNano())
	l.goes(func() {
		call, cancel := context.WithTimeout(l.ctx, mingleTime)
		defer cancel()
		replies, err := r.fanout.Ask(call, "reply."+cfg.Control+".pidbox", func(a broker.Address) broker.Publication {
			body, _ := json.Marshal(map[string]any{ // texts and lists of texts always have a JSON form
				"method": "hello", "arguments": arguments, "destination": nil, "pattern": nil, "matcher": nil, "ticket": ticket,
				"reply_to": map[string]string{"exchange": a.Exchange, "routing_key": a.RoutingKey},
			})
			return broker.Publication{Exchange: cfg.Control + ".pidbox", Headers: headers, Body: body}
		})
		l.post(asked{func(l *loop) { l.mingledWith(replies, err) }})
	})
}

func (l *loop) mingledWith(replies []broker.Broadcast, err error) {
	l.remote.waits--
	if err != nil {
		l.log.Warn("mingle: the other workers could not be asked", zap.Error(err))
		return
	}
	others := 0
	for _, reply := range replies {
		var nodes map[string]*struct {
			Revoked json.RawMessage `json:"revoked"`
			Clock   int64           `json:"clock"`
		}
		if err := json.Unmarshal(reply.Message.Body, &nodes); err != nil {
			l.log.Warn("mingle: a reply cannot be read", zap.Error(err))
			continue
		}
		for name, said := range nodes {
			if said == nil || name == l.info.Hostname {
				continue // our own answer
			}
			others++
			l.remote.clock.Adjust(said.Clock)
			for _, id := range control.RevokedIDs(said.Revoked) {
				l.consumer.Revoked().Add(l.now, id)
			}
		}
	}
	if others == 0 {
		l.log.Info("mingle: all alone")
		return
	}
	l.log.Info(fmt.Sprintf("mingle: sync with %d nodes", others))
	l.log.Info("mingle: sync complete")
}
