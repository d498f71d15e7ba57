"""The recorder: a process that has loaded the app as a Celery worker had that is gone,
and says in its place what became of its tasks.

It is told the worker's command line and gives it to Celery's own command, so that the
app, its settings, the log and the node name are what they were. Only where the worker
would start, the recorder does: no pool, no consumer, nothing that a bootstep makes.
"""
import json
import os
import socket
import sys

from . import guard, preload, wire, zygote

FD = 3


def main(argv):
    sock = socket.socket(fileno=FD)
    sock.set_inheritable(False)
    try:
        imitate(read_start(sock, argv))
        load(sock)
        raise RuntimeError('the command line of the worker starts none')
    except BaseException as exc:
        zygote.fail(sock, exc)


def read_start(sock, argv):
    if argv[:1] != [str(wire.PROTOCOL)]:
        raise zygote.Refused(f'the agent speaks protocol {wire.PROTOCOL}, the supervisor {argv[:1]}')
    frame = read_frame(sock)
    if not frame:
        zygote.leave(0)
    _, kind, _ = wire.HEADER.unpack_from(frame)
    if kind != wire.OPTIONS:
        raise zygote.Refused(f'the first frame is of kind {kind}')
    return json.loads(frame[wire.HEADER.size:])


def read_frame(sock):
    """Celery may not be there to be imported before we know where it is."""
    frame = sock.recv(256 << 10)
    while 0 < len(frame) < 4 or frame and len(frame) < 4 + wire.U32.unpack_from(frame)[0]:
        more = sock.recv(256 << 10)
        if not more:
            return b''
        frame += more
    return frame


def imitate(start):
    """Apps look at both to learn where they are."""
    sys.argv[:] = start.get('argv') or ['celery']
    if start.get('path'):
        sys.path[:] = start['path']


def load(sock):
    from celery.worker.worker import WorkController

    class Blueprint(WorkController.Blueprint):
        default_steps = set()

        def __init__(self, steps=None, **kwargs):
            super().__init__(steps=(), **kwargs)

    WorkController.Blueprint = Blueprint
    WorkController.start = lambda worker: record(worker, sock)
    import click
    from celery.bin.celery import celery
    try:
        celery.main(args=sys.argv[1:], prog_name='celery', standalone_mode=False, auto_envvar_prefix='CELERY')
    except click.UsageError as exc:  # so Celery says that it cannot load the app
        raise preload.LoadError(click.unstyle(exc.format_message())) from None


def record(worker, sock):
    """In the place of Celery's worker. Never returns."""
    from .record import Recorder
    preload.finish_setup(worker.app, worker)
    guard.set_title('crisper: recorder')
    recorder = Recorder(preload.Loaded(worker.app, worker, 0), sock)
    recorder.initialise()
    sock.send(wire.pack(wire.HELLO, 0, b'{"child": 0, "pid": %d}' % os.getpid()))
    recorder.run()
