"""Run the way of a task a hundred times before the fork, with a task of our own.

Python specialises code as it runs it, and writes that into the code objects. Done
in the zygote it is done once; done in each child it costs every young child half
as much again for each task, and a private copy of every page it writes to.

Nothing of the app is touched: the task belongs to an app of its own, with a loader
that does nothing and a backend that forgets; while it runs, signals have no
receivers and nothing is logged. Where an integration has replaced Celery's
tracer, nothing is run: what its code does we cannot know.
"""
import json
import logging
import socket

from celery import Celery, signals
from celery.app import trace
from celery.backends.base import DisabledBackend, KeyValueStoreBackend
from celery.loaders.base import BaseLoader
from celery.utils.saferepr import saferepr

from . import executor, guard, wire

#: Code is specialised within some dozens of calls, or given up.
ROUNDS, FRAMES = 8, 16
NAME, ID = 'crisper.warm', '00000000-0000-4000-8000-000000000000'
SIGNALS = (signals.task_prerun, signals.task_postrun, signals.task_success)


@guard.never_raise
def warm_up(loaded):
    if trace.build_tracer.__module__ != 'celery.app.trace':
        return
    receivers = [signal.receivers for signal in SIGNALS]
    registry, silent = trace._localized[0], logging.root.manager.disable
    for signal in SIGNALS:
        signal.receivers = []
    logging.disable(logging.CRITICAL)
    try:
        for ignore_result in (True, False):
            trace._localized[0] = {NAME: private_task(ignore_result)}
            run_tasks(loaded, task_frame())
        show()
    finally:
        trace._localized[0] = registry
        logging.disable(silent)
        for signal, those in zip(SIGNALS, receivers):
            signal.receivers = those


class Loader(BaseLoader):
    """Reads no configuration and does nothing around a task."""

    def read_configuration(self):
        return {}


class Forgetful(KeyValueStoreBackend):
    """Encodes a result as others do, and keeps none."""

    def get(self, key):
        return None

    def set(self, key, value):
        return None


def echo(*args, **kwargs):
    return args


def private_task(ignore_result):
    app = Celery('crisper-warm', set_as_current=False, loader=Loader, fixups=[])
    app._backend = (DisabledBackend if ignore_result else Forgetful)(app=app)
    task = app._task_from_fun(echo, name=NAME, ignore_result=ignore_result)
    task.__trace__ = trace.build_tracer(NAME, task, Loader(app), 'warm', app=app)
    return task


def show():
    """What results look like in the log: the classes of the usual ones are compared with
    abstract ones, whose answers Python keeps."""
    for value in (None, True, 1, 1.5, '', b'', (), [], {}, set()):
        saferepr(value)


def task_frame():
    """What the supervisor sends for a task, with the headers that Celery writes."""
    headers = {
        'lang': 'py', 'task': NAME, 'id': ID, 'shadow': None, 'eta': None, 'expires': None,
        'group': None, 'group_index': None, 'retries': 0, 'timelimit': [None, None],
        'root_id': ID, 'parent_id': None, 'argsrepr': '(1,)', 'kwargsrepr': '{}',
        'origin': 'gen1@warm', 'ignore_result': False, 'replaced_task_nesting': 0,
        'stamped_headers': None, 'stamps': {}, 'correlation_id': ID, 'reply_to': ID,
        'delivery_info': {'exchange': '', 'routing_key': 'warm', 'priority': 0, 'redelivered': None},
        'properties': {'correlation_id': ID, 'delivery_tag': ID}}
    request = json.dumps(headers).encode()
    body = b'[[1], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'
    return wire.pack(wire.TASK, 1, wire.U32.pack(len(request)) + request + wire.USUAL + body)


def run_tasks(loaded, frame):
    """Through the very loop of the children, over a socket as theirs."""
    kind = getattr(socket, 'SOCK_SEQPACKET', socket.SOCK_STREAM)
    for _ in range(ROUNDS):
        ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
        with ours, theirs:
            for _ in range(FRAMES):
                ours.send(frame)
            ours.send(wire.pack(wire.EXIT, 0))
            child = executor.Executor(loaded, {}, theirs, memoryview(bytearray(24)).cast('Q'))
            try:
                child.loop()
            except executor.Leave:
                pass
