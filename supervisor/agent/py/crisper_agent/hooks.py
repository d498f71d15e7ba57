"""What an executor asks of Celery: be initialised as a pool child, and run a task."""
import functools
import os
from json import JSONDecoder

from celery import _state, signals
from celery.app import trace
from celery.app.task import Task
from celery.concurrency import prefork
from celery.exceptions import Ignore, NotRegistered, Reject, Retry, SoftTimeLimitExceeded
from celery.worker import state
from kombu.compression import decompress
from kombu.exceptions import ContentDisallowed, DecodeError
from kombu.serialization import loads, registry
from kombu.utils import json as kombu_json
from kombu.utils.encoding import safe_repr, safe_str

from . import wire

try:
    from billiard.einfo import ExceptionWithTraceback
except ImportError:  # billiard before 4.1
    class ExceptionWithTraceback(Exception):
        pass

TRACE_GLOBALS = trace.__dict__
SOFT_LIMIT_ERROR = SoftTimeLimitExceeded
log_again = True
#: The C scanner that json.loads ends in.
SCAN = JSONDecoder().scan_once


def prepare(app, hostname):
    """Before the fork, and as far as it is the same in all children."""
    global log_again
    logfile = os.environ.get('CELERY_LOG_FILE') or ''
    # Set up already, it is inherited; Celery goes through the motions and changes nothing.
    log_again = '%i' in logfile.lower() or not app.log.already_setup
    defer_tracers(app, hostname)


def initialise_process(app, hostname):
    """celery.concurrency.prefork.process_initializer, from where after_fork ends."""
    _state._set_task_join_will_block(True)
    app.loader.init_worker()
    app.loader.init_worker_process()
    if log_again:
        set_up_log_again(app, hostname)
    app.set_current()
    _state.set_default_app(app)
    app.finalize()
    trace._tasks = app._tasks
    state.reset_state()
    if hasattr(prefork, '_process_hostname'):
        prefork._process_hostname = hostname
    signals.worker_process_init.send(sender=signal_sender(hostname))


def set_up_log_again(app, hostname):
    logfile = os.environ.get('CELERY_LOG_FILE') or None
    if logfile and '%i' in logfile.lower():
        app.log.already_setup = False  # one file per process
    app.log.setup(int(os.environ.get('CELERY_LOG_LEVEL', 0) or 0), logfile,
                  bool(os.environ.get('CELERY_LOG_REDIRECT', False)),
                  str(os.environ.get('CELERY_LOG_REDIRECT_LEVEL')), hostname=hostname)


def defer_tracers(app, hostname):
    """Tracers must be each process's own (they hold its pid), but most
    children never run most tasks: one is built when its task comes for the first time."""

    def first_trace(task, *args):
        # By attribute: integrations replace build_tracer.
        tracer = trace.build_tracer(task.name, task, app.loader, hostname, app=app)
        task.__trace__ = tracer
        return tracer(*args)

    Task.__trace__ = first_trace  # of every task, whenever it is made
    for task in app.tasks.values():
        if isinstance(task, Task):
            vars(task).pop('__trace__', None)
        else:
            task.__trace__ = functools.partial(first_trace, task)


def signal_sender(hostname):
    """Celery: the sender of worker_process_init and _shutdown is None before 5.7."""
    return hostname if hasattr(prefork, '_process_hostname') else None


def shut_down_process(hostname, pid, status):
    signals.worker_process_shutdown.send(sender=signal_sender(hostname), pid=pid, exitcode=status)


def body_decoder():
    """kombu's loads with the worker's accepted content. The usual JSON goes straight to the
    C scanner: kombu makes a decoder object for each body and calls a hook for each object
    in it, which matters only to objects that have "__type__"."""
    _, accept, _ = trace._localized
    own_json = (registry._decoders.get('application/json') is kombu_json.loads
                and 'application/json' in accept)
    scan = SCAN

    def decode(view, start, end, content_type, encoding, compression):
        if own_json and not compression and content_type == 'application/json':
            try:
                text = str(view[start:end], 'utf-8')
                # An escape could spell the name in another way.
                if '__type__' not in text and '\\u00' not in text:
                    parts, until = scan(text, 0)
                    if until == len(text):
                        return parts
            except (ValueError, StopIteration, RecursionError):
                pass  # kombu says what is wrong with it
        body = bytes(view[start:end])
        if compression:
            body = decompress(body, compression)
        return loads(body, content_type, encoding, accept=accept)

    return decode


def parts_of(body):
    """args, kwargs and embed of a body that is no list: a tuple from pickle, or the
    dict of a message between the protocols (worker/strategy.py, hybrid_to_proto2)."""
    if not isinstance(body, dict):
        return body
    args, kwargs = body.get('args', ()), body.get('kwargs', {})
    kwargs.items
    return args, kwargs, {'callbacks': body.get('callbacks'), 'errbacks': body.get('errbacks'),
                          'chord': body.get('chord'), 'chain': None}


def outcome_of(info):
    """Outcome, exception and traceback of what the tracer returned as not successful."""
    exc = bare(info.exception)
    if isinstance(exc, Retry):
        return wire.RETRY, safe_repr(exc.exc), safe_str(info.traceback)
    if isinstance(exc, Reject):
        return rejected(exc), reason(exc), safe_str(info.traceback)
    if isinstance(exc, Ignore):
        return wire.IGNORED, '', ''
    return wire.FAILURE, safe_repr(trace.get_pickled_exception(exc)), safe_str(info.traceback)


def bare(exc):
    return exc.exc if isinstance(exc, ExceptionWithTraceback) else exc


def rejected(exc):
    return wire.REJECTED_AGAIN if exc.requeue else wire.REJECTED


def reason(exc):
    """Of a Reject: the steward makes another from it, which says "reject" itself."""
    return exc.reason if isinstance(exc.reason, str) else safe_repr(exc.reason)


def undecoded(exc):
    """Celery: DecodeError is acknowledged, everything else about a body rejected
    (worker/consumer/consumer.py, on_decode_error and on_invalid_task)."""
    if isinstance(exc, DecodeError) and not isinstance(exc, ContentDisallowed):
        return wire.UNDECODABLE
    return wire.INVALID


def store_escaped(app, request, exc):
    """An exception that the tracer did not store, such as a name it does not know."""
    from celery.app.task import Context
    app.backend.mark_as_failure(request['id'], exc, request=Context(request), call_errbacks=False)
