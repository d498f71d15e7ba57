"""Remote control, as far as it needs Python: what the app says about it at the start, and
the commands that only Celery's own code, or the app's, can answer.

A mixin of the steward. Replies are encoded here, as kombu would: an app whose
task_serializer is pickle gets pickles.
"""
import base64
import json
import logging
import os
import tempfile

from celery.utils.collections import AttributeDict
from celery.worker import control
from kombu.serialization import dumps, loads

from . import wire

logger = logging.getLogger('celery.worker.pidbox')


def describe(app, jsonable):
    """The Remote of supervisor/agent/remote.go."""
    queues = [jsonable(dict(queue.as_dict(recurse=True))) for queue in app.amqp.queues.consume_from.values()]
    return {'broker': jsonable(broker_info(app)), 'queues': queues, 'serializer': app.conf.task_serializer,
            'commands': sorted(name for name, handler in control.Panel.data.items()
                               if getattr(handler, '__module__', '') != control.__name__)}


def broker_info(app):
    """What `stats` says of the broker; no password anywhere."""
    from kombu.utils.url import maybe_sanitize_url
    info = app.connection_for_read(heartbeat=app.conf.broker_heartbeat).info()
    info.pop('password', None)
    info['alternates'] = [maybe_sanitize_url(str(url)) for url in info.get('alternates') or ()]
    if isinstance(info.get('hostname'), str):
        info['hostname'] = maybe_sanitize_url(info['hostname'])
    if callable(info.get('failover_strategy')):
        info['failover_strategy'] = repr(info['failover_strategy'])
    return info


class Operations:
    """The steward's operations for remote control."""

    def do_panel(self, spec, payload, record):
        """A command that Celery's own code answers, or the app's."""
        state = AttributeDict(app=self.app, hostname=self.worker.hostname, consumer=self.consumer, tset=set)
        for name, rate in (spec.get('rate_limits') or {}).items():
            if name in self.app.tasks:
                self.app.tasks[name].rate_limit = rate
        try:
            reply = control.Panel.data[spec['method']](state, **(spec.get('arguments') or {}))
        except Exception as exc:
            logger.error('pidbox command error: %r', exc, exc_info=True)
            reply = {'error': repr(exc)}
        record.reply = self.encoded(reply)

    def do_encode(self, spec, payload, record):
        """A reply that the supervisor has made."""
        record.reply = self.encoded(spec['reply'])

    def encoded(self, reply):
        node = {self.worker.hostname: reply}
        try:
            content_type, encoding, body = dumps(node, serializer=self.app.conf.task_serializer)
        except Exception as exc:
            error = {self.worker.hostname: {'error': f'cannot encode the reply: {exc!r}'}}
            content_type, encoding, body = dumps(error, serializer=self.app.conf.task_serializer)
        if isinstance(body, str):
            body = body.encode()
        reply = {'content_type': content_type, 'content_encoding': encoding}
        if len(body) > wire.MAX_TRACEBACK // 2:
            # Too large for a packet: through a file that only this user can read.
            fd, path = tempfile.mkstemp(prefix='crisper-reply-')
            with os.fdopen(fd, 'wb') as file:
                file.write(body)
            return {**reply, 'file': path}
        return {**reply, 'body': base64.b64encode(body).decode()}

    def do_mail(self, spec, payload, record):
        """A command that came in another form than JSON."""
        from . import describe as own
        body = loads(base64.b64decode(spec['body']), spec['content_type'], spec['content_encoding'],
                     accept=own.accept(self.app))
        record.reply = json.loads(json.dumps(body, default=repr))

    def do_mark_revoked(self, spec, payload, record):
        """Since 5.6 a revoke is recorded for tasks that do not run; by Celery's own code, since
        which states count has changed. Nothing is active here, so all are looked at."""
        from celery.worker import state
        revoke = control._revoke
        if 'mark_as_revoked' not in revoke.__code__.co_names:
            return
        level = control.logger.level
        control.logger.setLevel(logging.WARNING)  # the supervisor has said that they are flagged
        try:
            revoke(AttributeDict(app=self.app, hostname=self.worker.hostname, consumer=self.consumer), set(spec['ids']))
        finally:
            control.logger.setLevel(level)
            state.revoked.clear()  # the supervisor keeps them

    def do_add_queue(self, spec, payload, record):
        """Consumer.add_task_queue, up to the queue's definition."""
        from . import describe as own
        arguments = dict(spec.get('arguments') or {})
        name, exchange = arguments.pop('queue'), arguments.pop('exchange', None)
        kind, key = arguments.pop('exchange_type', None), arguments.pop('routing_key', None)
        queues = self.app.amqp.queues
        if name in queues:
            queue = queues.select_add(queues[name])
        else:
            queue = queues.select_add(name, exchange=name if exchange is None else exchange,
                                      exchange_type=kind or 'direct', routing_key=key, **arguments)
        record.reply = {'queue': own.queue_of(queue), 'shown': own.jsonable(dict(queue.as_dict(recurse=True)))}

    def do_statedb(self, spec, payload, record):
        """What Celery itself kept under this name: read by its own code, once."""
        import glob

        from celery.worker import state
        path = spec['path']
        record.reply = {'version': 1, 'clock': 0, 'revoked': []}
        if not any(glob.glob(glob.escape(path) + ending) for ending in ('', '.db', '.dat')):
            return
        persistent = state.Persistent(state, path)
        try:
            record.reply.update(revoked=list(state.revoked), clock=int(persistent.db.get('clock') or 0))
        finally:
            persistent.close()
            state.revoked.clear()
