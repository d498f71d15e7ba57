"""What the steward puts in the place of Celery's consumer, message and event dispatcher,
and how it makes a Request of Celery's own from the message of a task."""
import builtins
import json

from billiard.einfo import ExceptionInfo
from celery import exceptions
from celery.utils.imports import symbol_by_name
from celery.worker.request import create_request_cls
from kombu.message import Message
from kombu.utils.encoding import safe_repr

from . import describe, wire
from .hooks import bare

#: Go puts these into the request beside the message's headers (wire/doc.go).
NOT_HEADERS = ('properties', 'reply_to', 'correlation_id', 'hostname', 'delivery_info')


class Record:
    """What Celery decided about one task: the last verb, and the events in order."""

    enabled = True  # as an event dispatcher

    def __init__(self):
        self.verb, self.events, self.reply = '', [], None

    def send(self, type, **fields):
        self.events.append({'type': type, **fields})

    def ack(self, *args):
        self.verb = self.verb or 'ack'

    def reject(self, logger=None, errors=None, requeue=False):
        self.verb = self.verb or ('requeue' if requeue else 'reject')

    def answer(self):
        answer = {'verb': self.verb, 'events': describe.jsonable(self.events)}
        return answer if self.reply is None else {**answer, 'reply': self.reply}


class RecordedMessage(Message):
    """A message whose settlement is noted; the supervisor holds the real one."""

    record = None

    def ack_log_error(self, *args, **kwargs):
        self.record.ack()

    def reject_log_error(self, logger, errors, requeue=False):
        self.record.reject(requeue=requeue)

    ack = reject = requeue = lambda self, *args, **kwargs: None


class StandIn:
    """An object with the attributes that Celery's methods and signal handlers use."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Consumer(StandIn):
    """The sender of the parent's signals; handlers that look at its type see the usual name."""


class Task:
    """One message and the Request of Celery made from it. request is None, and problem
    says why, when there is none to be had: bad body, bad headers, unknown task."""

    def __init__(self, steward, payload, record):
        if payload is None:
            raise ValueError('this operation needs a task')
        view, start, end = payload
        text, content_type, encoding, at = wire.split_task(view, start, end)
        body = bytes(view[at:end])
        whole = json.loads(text)
        headers = {key: value for key, value in whole.items() if key not in NOT_HEADERS}
        self.take(steward, record, steward.worker.hostname, RecordedMessage(
            body=body, headers=headers, content_type=content_type, content_encoding=encoding,
            properties=whole.get('properties') or {}, delivery_info=whole.get('delivery_info') or {},
            delivery_tag=None, channel=None, accept=describe.accept(steward.app)))

    def take(self, steward, record, hostname, message):
        self.message, message.record = message, record
        self.id, self.name = message.headers.get('id'), message.headers.get('task')
        self.request = self.problem = None
        try:
            self.request = self.build(steward, record, hostname)
        except Exception as exc:
            self.problem = exc

    def build(self, steward, record, hostname):
        app = steward.app
        body, headers, decoded, utc = self.contents(app)
        task = app.tasks[self.name]
        cls = create_request_cls(symbol_by_name(task.Request), task, steward.pool, hostname, record, app=app)
        return cls(self.message, on_ack=record.ack, on_reject=record.reject, app=app, hostname=hostname,
                   eventer=record, task=task, body=body, headers=headers, decoded=decoded, utc=utc)

    def contents(self, app):
        """What Celery's strategies make of a message."""
        return self.message.body, self.message.headers, False, app.uses_utc_timezone()

    def bare_context(self):
        """As Celery's on_unknown_task makes it: no chord, no errbacks."""
        properties = self.message.properties
        return StandIn(name=self.name, task=self.name, id=self.id, chord=None, errbacks=None, chain=None,
                       root_id=self.message.headers.get('root_id'), group=None,
                       correlation_id=properties.get('correlation_id'), reply_to=properties.get('reply_to'))


def exception(spec):
    """The exception that {"type": …, "message": …} names: Celery's, else a builtin."""
    given = spec.get('exc') or {}
    name, message = given.get('type') or 'WorkerLostError', given.get('message', '')
    cls = getattr(exceptions, name, None) or getattr(builtins, name, None)
    if not (isinstance(cls, type) and issubclass(cls, Exception)):
        cls = exceptions.WorkerLostError
    return cls(message)


def raised(exc):
    """exc with a traceback, as Celery's pool hands failures to a Request."""
    try:
        raise exc
    except type(exc):
        return ExceptionInfo()


def say_what_failed(record, info):
    """Celery: failures made in the parent read ExceptionWithTraceback() in events
    (5.3 to 5.7, worker/request.py); people need the error itself."""
    text = safe_repr(bare(info.exception))
    for event in record.events:
        if event['type'] == 'task-failed':
            event['exception'] = text
