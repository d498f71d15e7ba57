"""Record as failed a task that went with its whole Celery worker, with what Celery's own
failure path does: the result, errbacks, the chord, the signal.

Nobody else will run the task (it was acknowledged when it began), and nobody else knows
whether it ended: so the result backend is asked first. What Celery had recorded already
stays as it is.
"""
import atexit
import marshal
import os

from celery import states
from celery.backends.base import DisabledBackend
from celery.worker.strategy import hybrid_to_proto2, proto1_to_proto2
from kombu.transport import virtual
from kombu.utils.json import loads

from . import describe, guard, steward
from .stand_in import RecordedMessage, Task, exception, raised, say_what_failed


class Recorder(steward.Steward):
    """A steward that is asked about one thing more."""

    def __init__(self, loaded, sock):
        super().__init__(loaded, sock)
        self.begun = set()  # ids of tasks of which something may be recorded already, by us

    def run(self):
        """Until told to leave. What the app does in the background is done then:
        monitoring sends what it was told."""
        try:
            self.loop()
        except OSError as exc:
            guard.say(f'the recorder cannot speak to the supervisor: {exc!r}')
        try:
            atexit._run_exitfuncs()
        finally:
            guard.flush_std()
            os._exit(0)

    def do_record(self, spec, payload, record):
        task = Lost(self, payload, record, spec.get('hostname'))
        stored = stored_state(task, self.app)
        ours = stored == states.FAILURE and (spec.get('again') or task.id in self.begun)
        if stored in states.READY_STATES and not ours:
            record.reply = {'state': stored}
            return
        self.begun.add(task.id)
        info = raised(exception(spec))
        if task.request is None:
            self.fail(task, info, record)
        else:
            task.request.acknowledged = True
            task.request.on_failure(info)
        say_what_failed(record, info)
        self.begun.discard(task.id)


class Lost(Task):
    """A task and its message, as the agent in the worker packed it
    (supervisor/celery/py/crisper_inject/mail.py)."""

    def __init__(self, steward, payload, record, hostname):
        if payload is None:
            raise ValueError('this operation needs a message')
        view, start, end = payload
        headers, properties, delivery_info, content_type, encoding, body = unpacked(view[start:end])
        headers = {**(headers or {}), 'compression': None}  # the body was unpacked when it came
        self.take(steward, record, hostname or steward.worker.hostname, RecordedMessage(
            body=body, headers=headers, content_type=content_type, content_encoding=encoding,
            properties=properties, delivery_info=delivery_info, delivery_tag=None, channel=None,
            accept=describe.accept(steward.app)))

    def contents(self, app):
        """As Celery's strategies do with what is in an older protocol, or between both."""
        payload = self.message.payload
        if 'task' in self.message.headers:
            if 'args' not in payload:
                return super().contents(app)
            found = hybrid_to_proto2(self.message, payload)
        else:
            found = proto1_to_proto2(self.message, payload)
        self.id, self.name = found[1].get('id'), found[1].get('task')
        return found


class Decoder:
    """All that kombu's messages want of a channel."""
    codecs, decode_body = virtual.Channel.codecs, virtual.Channel.decode_body


def unpacked(text):
    """The parts of a message, its body as the sender's serializer made it."""
    if bytes(text[:1]) == b'm':
        return marshal.loads(text[1:])
    raw, _, _ = loads(bytes(text[1:]))
    found = virtual.Message(raw, channel=Decoder())
    if found.errors:
        found._reraise_error()
    return found.headers, found.properties, found.delivery_info, found.content_type, found.content_encoding, found.body


def stored_state(task, app):
    """None where the backend cannot say. It is asked once: whoever tries again is the
    supervisor, who knows for how long."""
    if task.request is not None and not task.request.store_errors:
        return None
    backend = task.request.task.backend if task.request else app.backend
    ask = getattr(backend, '_get_task_meta_for', None)
    if ask is None or isinstance(backend, DisabledBackend) or backend.as_uri().startswith('rpc://'):
        return None  # Celery: a question would make a queue for the answer of rpc://
    return ask(task.id)['status']
