"""What only Celery's parent process does and only Python can: record tasks that no
child can record any more, and fire the worker's own signals.

For each question a Request of Celery's own is built from the task's message, with
callbacks that note what Celery decided instead of talking to a broker. So each
Celery version behaves as itself. One question at a time; an error (the backend is
down) is answered as such, and the supervisor asks again.
"""
import json
import logging
import mmap
import os
import sys
import traceback

from celery import exceptions, signals
from celery.worker.consumer.consumer import Consumer
from kombu.utils.encoding import safe_repr

from . import after_fork, guard, panel, stand_in, wire
from .executor import receiver
from .hooks import bare
from .stand_in import Record, StandIn, Task, exception, raised, say_what_failed

logger = logging.getLogger('celery.worker.request')


class Steward(panel.Operations):
    def __init__(self, loaded, sock):
        self.app, self.worker, self.sock = loaded.app, loaded.worker, sock
        self.pool = StandIn(apply_async=lambda *args, **kwargs: None)
        self.consumer = stand_in.Consumer(
            app=self.app, hostname=self.worker.hostname, controller=self.worker, pool=self.pool,
            connection_errors=(), event_dispatcher=None, timer=None, task_buckets={},
            initial_prefetch_count=0)
        self.worker.consumer, self.worker.pool = self.consumer, self.pool

    def initialise(self):
        self.app.set_current()
        self.app.set_default()

    def run(self):
        """Until told to leave, or the supervisor is gone. Never returns."""
        try:
            self.loop()
        except OSError as exc:
            guard.say(f'the steward cannot speak to the supervisor: {exc!r}')
        guard.flush_std()
        os._exit(0)

    def loop(self):
        buffer = mmap.mmap(-1, 256 << 10)  # pages that no frame reaches cost nothing
        receive = receiver(self.sock, buffer)
        while True:
            size = receive(0)
            if not size:
                return
            length, kind, seq = wire.HEADER.unpack_from(buffer)
            view, start, end = memoryview(buffer), wire.HEADER.size, size
            if kind == wire.LARGE:
                kind, view = wire.large_payload(view, start, end)
                start, end = 0, len(view)
            if kind == wire.EXIT:
                return
            if kind != wire.REQUEST or (length + 4 != size):
                guard.say(f'the supervisor sent the steward a frame of kind {kind}')
                os._exit(after_fork.EXIT_PROTOCOL)
            self.sock.send(wire.pack(wire.ANSWER, seq, self.answer(view, start, end)))

    def answer(self, view, start, end):
        """The Answer, bounded so that it fits into one packet."""
        try:
            (length,) = wire.U32.unpack_from(view, start)
            spec = json.loads(str(view[start + 4:start + 4 + length], 'utf-8'))
            payload = (view, start + 4 + length, end) if start + 4 + length < end else None
            record = Record()
            getattr(self, 'do_' + spec['op'])(spec, payload, record)
            text = json.dumps(record.answer()).encode()
            return text if len(text) < wire.MAX_TRACEBACK else json.dumps({'verb': record.verb}).encode()
        except Exception as exc:
            traceback.print_exc(file=sys.__stderr__)
            return json.dumps({'error': f'{type(exc).__name__}: {exc}'[:4096]}).encode()

    # The operations of supervisor/agent/info.go.

    def do_failure(self, spec, payload, record):
        """The child died, with the task: Celery's matrix decides, and records."""
        task = self.begun(payload, record)
        if task.request is None:
            return self.do_fail(spec, payload, record)
        info = raised(exception(spec))
        task.request.on_failure(info)
        say_what_failed(record, info)

    def do_timeout(self, spec, payload, record):
        """The hard time limit, recorded once. Celery calls on_failure and then on_timeout,
        and since 5.7 both run the failure hooks (see fork-safety.md)."""
        task = self.begun(payload, record)
        limit = spec.get('limit') or 0
        if task.request is None:
            return self.do_fail({'exc': {'type': 'TimeLimitExceeded', 'message': limit}}, payload, record)
        if 'task_failure' in type(task.request).on_timeout.__code__.co_names:
            task.request.on_timeout(False, limit)
        else:
            logger.error('Hard time limit (%ss) exceeded for %s[%s]', limit, task.request.name, task.id)
            task.request.on_failure(raised(exceptions.TimeLimitExceeded(limit)))
        say_what_failed(record, raised(exceptions.TimeLimitExceeded(limit)))

    def do_revoked(self, spec, payload, record):
        task = self.task(payload, record)
        reason = spec.get('reason', 'revoked')
        if task.request is None:
            return self.reject_invalid(task, record)
        task.request._announce_revoked(
            reason, reason == 'terminated', spec.get('signum'), reason == 'expired')
        record.ack()

    def do_unknown(self, spec, payload, record):
        task = self.task(payload, record)
        self.consumer.event_dispatcher = record
        try:
            raise KeyError(task.name)
        except KeyError as exc:  # raised and not made: Celery logs the traceback
            Consumer.on_unknown_task(self.consumer, None, task.message, exc)
        finally:
            self.consumer.event_dispatcher = None

    def do_reject(self, spec, payload, record):
        """The task raised Reject; Celery 5.7 records a failure unless it is requeued."""
        task = self.begun(payload, record)
        requeue = bool(spec.get('requeue'))
        if task.request is None:
            return record.reject(requeue=requeue)
        info = raised(exceptions.Reject(spec.get('reason'), requeue=requeue))
        task.request.on_failure(info, return_ok=True)
        say_what_failed(record, info)

    def do_fail(self, spec, payload, record):
        """Record a failure whatever the acknowledgement mode: cut off, parked."""
        self.fail(self.task(payload, record), raised(exception(spec)), record)

    def fail(self, task, info, record):
        exc = bare(info.exception)
        context = task.request._context if task.request else task.bare_context()
        store = task.request.store_errors if task.request else True
        self.app.backend.mark_as_failure(task.id, exc, request=context, store_result=store)
        if task.request:
            self.fire_failure(task.request, exc, info)
        record.send('task-failed', uuid=task.id, exception=safe_repr(exc), traceback=info.traceback)
        record.ack()

    def fire_failure(self, request, exc, info):
        request.task.request_stack.push(request._context)
        try:
            signals.task_failure.send(
                sender=request.task, task_id=request.id, exception=exc, args=request.args,
                kwargs=request.kwargs, traceback=info.traceback, einfo=info)
        finally:
            request.task.request_stack.pop()

    def do_invalid(self, spec, payload, record):
        """A message that is no valid task. Celery 5.7 also records a failure for an ETA
        that is a date but no point in time (worker/strategy.py)."""
        task = self.task(payload, record)
        if task.request is None or not spec.get('eta'):
            return self.reject_invalid(task, record, spec)
        if hasattr(task.request, '_eta_timer_entry'):  # new in the same version
            exc = OverflowError((spec.get('exc') or {}).get('message', 'ETA out of range'))
            self.app.backend.mark_as_failure(task.id, exc, request=task.request._context,
                                             store_result=task.request.store_errors)
        task.request.reject(requeue=False)

    def reject_invalid(self, task, record, spec=None):
        exc = task.problem or exceptions.InvalidTaskError(((spec or {}).get('exc') or {}).get('message', ''))
        Consumer.on_invalid_task(self.consumer, None, task.message, exc)
        record.reject()

    def do_signal(self, spec, payload, record):
        """Fire a signal that Celery's parent would; the stand-ins have .app and .hostname."""
        name = spec['name']
        if name in ('worker_ready', 'heartbeat_sent'):
            fields = {'sender': self.consumer}
        elif name in ('worker_shutdown', 'worker_init'):
            fields = {'sender': self.worker}
        elif name == 'worker_shutting_down':
            fields = {'sender': self.worker.hostname, 'sig': spec.get('sig', 'SIGTERM'),
                      'how': spec.get('how', 'Warm'), 'exitcode': spec.get('exitcode', 0)}
        elif name == 'task_rejected':
            fields = {'sender': self.consumer, 'exc': None,
                      'message': self.task(payload, record).message if payload else None}
        else:
            raise ValueError(f'no such signal here: {name}')
        getattr(signals, name).send(**fields)

    def do_received(self, spec, payload, record):
        """task_received, for many tasks. One without a request is told of by whoever rejects it."""
        view, start, end = payload
        for size in spec['sizes']:
            request = self.task((view, start, start + size), record).request
            start += size
            if request is not None:
                signals.task_received.send(sender=self.consumer, request=request)

    def begun(self, payload, record):
        """A task that a child had begun: then Celery's parent has acknowledged an early
        one already (Request.on_accepted), and can reject it no more."""
        task = self.task(payload, record)
        if task.request is not None:
            task.request.acknowledged = not task.request.task.acks_late
        return task

    def task(self, payload, record):
        return Task(self, payload, record)
