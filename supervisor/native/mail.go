package native

import (
	"encoding/json"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/broker/celerymsg"
	"crisper/supervisor/agent"
	"crisper/supervisor/control"
)

// listenToControl hands broadcasts to the loop until the broker's client has ended.
func (l *loop) listenToControl() {
	if l.remote.mails == nil {
		return
	}
	mails := l.remote.mails
	l.goes(func() {
		for b := range mails {
			l.post(asked{func(l *loop) { l.mail(b.Message) }})
		}
	})
}

// mail is one command that was broadcast.
func (l *loop) mail(m celerymsg.Message) {
	// Celery moves the clock on even where the sender has none (worker/pidbox.py).
	l.remote.clock.Forward()
	l.remote.clock.Adjust(control.ClockOf(m.Headers))
	if m.ContentType != "application/json" {
		l.decodeMail(m)
		return
	}
	if !slices.Contains(l.info.Accept, m.ContentType) {
		l.log.Error("cannot decode a control command: its content type is not in accept_content", zap.String("content_type", m.ContentType))
		return
	}
	mail, err := control.Read(&m)
	l.read(mail, err)
}

// decodeMail has Python read what is not JSON.
func (l *loop) decodeMail(m celerymsg.Message) {
	args := map[string]any{"body": m.Body, "content_type": m.ContentType, "content_encoding": m.ContentEncoding}
	l.put(&ask{op: agent.OpMail, args: args, answer: func(a agent.Answer) {
		if a.Error != "" {
			l.log.Error("cannot decode a control command", zap.String("error", a.Error))
			return
		}
		l.read(control.ReadBody(a.Reply))
	}})
}

// read carries out a command that is for us.
func (l *loop) read(mail control.Mail, err error) {
	if err != nil {
		l.log.Error("cannot read a control command", zap.Error(err))
		return
	}
	if !mail.IsFor(l.info.Hostname) {
		return
	}
	l.log.Debug("remote control", zap.String("method", mail.Method))
	if control.LooksAtTasks(mail.Method) {
		l.remote.lookers = append(l.remote.lookers, looker{mail: mail, after: l.nextTake()})
		return
	}
	l.obeyMail(mail)
}

// looker is a command that asks which tasks we have. It is answered when so many takes
// have ended: what was in the queue when it came is in our hands by then.
//
// Celery: messages and commands are read in one thread, as they come. Ours come on
// connections of their own, where a command may overtake the task that it asks for.
type looker struct {
	mail  control.Mail
	after int
}

// nextTake is the number of the first take that begins after now.
func (l *loop) nextTake() int {
	if l.taking {
		return l.takesEnded + 2
	}
	return l.takesEnded + 1
}

// takeForLookers takes, also from queues that are believed to be empty if somebody wants
// to know, and answers those who need not wait any longer.
func (l *loop) takeForLookers() {
	l.answerLookers(func(k looker) bool { return k.after <= l.takesEnded })
	if len(l.remote.lookers) > 0 {
		l.exhausted = false
	}
	l.take()
	if !l.taking { // nothing may be taken now: what we have is all that there is to say
		l.answerLookers(func(looker) bool { return true })
	}
}

func (l *loop) answerLookers(which func(looker) bool) {
	var ready []looker
	l.remote.lookers = slices.DeleteFunc(l.remote.lookers, func(k looker) bool {
		if which(k) {
			ready = append(ready, k)
			return true
		}
		return false
	})
	for _, k := range ready {
		l.obeyMail(k.mail)
	}
}

// obeyMail carries out a command and replies.
func (l *loop) obeyMail(mail control.Mail) {
	answer := control.Handle(view{l}, mail)
	for _, action := range answer.Actions {
		if l.obey(action, mail, answer) {
			return // it replies itself when it is done
		}
	}
	if q := answer.Python; q != nil {
		l.askPanel(mail, answer, q)
		return
	}
	l.replyTo(mail, answer)
}

// askPanel asks Celery's own code; it gives the reply, or the reply waits for it.
func (l *loop) askPanel(mail control.Mail, answer control.Answer, q *control.Question) {
	args := map[string]any{"method": q.Method, "arguments": q.Arguments, "ids": q.IDs, "rate_limits": l.remote.rates}
	l.put(&ask{op: q.Op, args: args, answer: func(a agent.Answer) {
		switch {
		case q.Op != agent.OpPanel:
			if a.Error != "" {
				l.log.Error("the steward could not carry out a control command", zap.String("method", mail.Method), zap.String("error", a.Error))
			}
			l.replyTo(mail, answer)
		case a.Error != "":
			l.replyTo(mail, control.Answer{Reply: map[string]string{"error": a.Error}})
		default:
			l.replyEncoded(mail, a)
		}
	}})
}

// replyTo sends our own reply to who asked for one.
func (l *loop) replyTo(mail control.Mail, answer control.Answer) {
	if mail.ReplyTo == nil || answer.NoReply {
		return
	}
	if s := l.info.Remote.Serializer; s != "" && s != "json" {
		l.put(&ask{op: agent.OpEncode, args: map[string]any{"reply": answer.Reply}, answer: func(a agent.Answer) {
			if a.Error != "" {
				l.log.Error("cannot encode a reply", zap.String("error", a.Error))
				return
			}
			l.replyEncoded(mail, a)
		}})
		return
	}
	body, err := json.Marshal(map[string]any{l.info.Hostname: answer.Reply})
	if err != nil {
		l.bug("cannot encode a reply", err)
		return
	}
	l.reply(mail, broker.Publication{Body: body})
}

// replyEncoded sends a reply that Python has encoded.
func (l *loop) replyEncoded(mail control.Mail, a agent.Answer) {
	var e agent.Encoded
	err := json.Unmarshal(a.Reply, &e)
	if err == nil {
		e.Body, err = e.Bytes()
	}
	if err != nil {
		l.log.Error("cannot send a reply", zap.String("method", mail.Method), zap.Error(err))
		return
	}
	if mail.ReplyTo != nil {
		l.reply(mail, broker.Publication{Body: e.Body, ContentType: e.ContentType, ContentEncoding: e.ContentEncoding})
	}
}

// reply puts a reply before the events that wait (kombu/pidbox.py, _publish_reply).
func (l *loop) reply(mail control.Mail, p broker.Publication) {
	p.Exchange, p.RoutingKey, p.Direct = mail.ReplyTo.Exchange, mail.ReplyTo.RoutingKey, true
	ticket := mail.Ticket
	if len(ticket) == 0 {
		ticket = json.RawMessage("null")
	}
	p.Headers = fmt.Appendf(nil, `{"ticket": %s, "clock": %d}`, ticket, l.remote.clock.Forward())
	l.remote.replies = append(l.remote.replies, p)
}
