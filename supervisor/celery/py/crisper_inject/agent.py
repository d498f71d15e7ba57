"""Tells the supervisor, one JSON value a line, when the worker is ready, what it has in
hand and has done, and when its loop last turned.

Celery's signals say when it is ready; two pairs of functions are wrapped in the moment
in which their modules come to be, because no signal tells what they know: the Redis
transport's QoS (which deliveries are in hand) and celery.worker.state's task_accepted
and task_ready (which tasks run). A wrapper tells and then calls what it wraps; what it
wraps gets the same arguments and its result or exception is passed on.

No thread: the worker forks, and a fork with threads is what it should not be made to
do. Nothing here blocks: what the socket does not take at once waits in memory.
"""
import _thread
import collections
import importlib.util
import json
import os
import socket
import sys
import time

from crisper_inject import look

EVERY = 0.25  # seconds between two looks at the counters
TURNS = 1.0  # seconds between two reports when nothing has changed
MOST = 8 << 20  # bytes that wait for a supervisor that does not read

_sock = None
_owner = 0  # the pid that may speak; the pool's children have our memory, too
_lock = _thread.allocate_lock()  # guards _unsent; never waited for
_lines = collections.deque()  # to be sent
_unsent = bytearray()  # what the socket did not take
_consumer = None
_last = None
_told = 0.0  # when the last report went out
_timer = None


def begin(fd):
    """Take over the socket and wait for Celery to be imported."""
    global _sock, _owner
    _sock = socket.socket(fileno=fd)
    os.set_inheritable(_sock.fileno(), False)
    _sock.setblocking(False)
    _owner = os.getpid()
    say({"said": "hello", "pid": _owner, "python": sys.version.split()[0]})
    sys.meta_path.insert(0, _Watch({"celery.signals": connect, "celery.worker.state": follow_tasks, "kombu.transport.redis": follow_deliveries}))


class _Watch:
    """Hands modules over in the moment in which they come to be."""

    def __init__(self, wanted):
        self.wanted = wanted

    def find_spec(self, name, path=None, target=None):
        do = self.wanted.pop(name, None)
        if do is None:
            return None
        if not self.wanted:
            sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)  # by everybody else: we do not want it any more
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            guarded(do)(module)

        spec.loader.exec_module = exec_module
        return spec


def guarded(function):
    """Never raise into the app: say so once and be silent from then on."""

    def call(*args, **kwargs):
        if _sock is None or os.getpid() != _owner:
            return
        try:
            function(*args, **kwargs)
        except Exception as exc:
            off(exc)

    return call


def off(exc):
    global _sock
    say({"said": "off", "why": repr(exc)})
    sys.stderr.write("crisper: the agent is off: %r\n" % (exc,))
    _sock = None


# What is wrapped.


def around(owner, name, before=None, after=None):
    """Replace owner.name by a function that tells before or after calling it."""
    inner = getattr(owner, name)
    before, after = before and guarded(before), after and guarded(after)

    def call(*args, **kwargs):
        if before is not None:
            before(*args, **kwargs)
        try:
            return inner(*args, **kwargs)
        finally:
            if after is not None:
                after(*args, **kwargs)

    call.__name__, call.__doc__, call.__wrapped__ = name, inner.__doc__, inner
    setattr(owner, name, call)


def follow_deliveries(transport):
    """A delivery is told before Redis is told that it is in hand, and let go of after
    Redis was told: what dies in between is looked for in vain, never overlooked."""
    qos = transport.QoS
    around(qos, "append", lambda _qos, _message, delivery_tag: tell("t", delivery_tag),
           lambda _qos, _message, delivery_tag: tell("k", delivery_tag, soon=False))
    around(qos, "ack", after=lambda _qos, delivery_tag: tell("s", delivery_tag, soon=False))
    around(qos, "reject", after=lambda _qos, delivery_tag, requeue=False: tell("s", delivery_tag))
    around(qos, "restore_by_tag", after=lambda _qos, tag, client=None, leftmost=False: tell("s", text(tag)))


def text(tag):
    """What the transport has read back from Redis is bytes."""
    return tag.decode() if isinstance(tag, bytes) else tag


def follow_tasks(state):
    around(state, "task_accepted", accepted)
    around(state, "task_ready", ended)


def accepted(request, *_, **__):
    tell("a", tag_of(request), request.id, request.name, late(request))


def ended(request, *_, **__):
    # Of a late one its acknowledgment is what counts, and that follows.
    tell("e", request.id, soon=not late(request))


def late(request):
    return 1 if request.task.acks_late else 0


def tag_of(request):
    return getattr(request.message, "delivery_tag", None)


# What Celery signals.


def connect(signals):
    signals.worker_ready.connect(on_ready, weak=False, dispatch_uid="crisper")
    signals.worker_shutting_down.connect(on_leaving, weak=False, dispatch_uid="crisper")


@guarded
def on_ready(sender=None, **_):
    global _consumer
    import celery

    _consumer = sender
    say({"said": "ready", "node": sender.hostname, "celery": celery.__version__, "pool": look.pool(sender)})
    say({"said": "broker", "broker": look.broker(sender.app)})
    loop = sender.loop

    def again(*args, **kwargs):
        watch()  # a lost connection has cleared the timers, ours included
        return loop(*args, **kwargs)

    sender.loop = again
    watch()


@guarded
def on_leaving(**_):
    say({"said": "leaving"})


@guarded
def watch():
    global _timer
    if _timer is not None:
        _timer.cancel()
    timer = getattr(_consumer, "timer", None)
    if timer is not None:
        _timer = timer.call_repeatedly(EVERY, report)
        report()


@guarded
def report():
    global _last, _told
    now = look.counts(_consumer)
    if now != _last or time.monotonic() - _told >= TURNS:
        _last, _told = now, time.monotonic()
        say(dict(now, said="counts", at=time.time()))
    else:
        send(b"")


# How it is told.


def tell(what, *facts, soon=True):
    """One fact about a delivery or a task, with the time. What need not be known at once
    waits for the next line: each call of the kernel costs as much as all else here."""
    line = json.dumps((what, time.time()) + facts).encode() + b"\n"
    send(line, soon)


def say(message):
    send(json.dumps(message).encode() + b"\n")


def send(line, soon=True):
    """Whoever cannot have the lock is another thread, or a signal handler in the midst of
    this: the one who has it takes the line along."""
    if _sock is None:
        return
    _lines.append(line)
    while soon and _lines and _lock.acquire(False):
        try:
            flush()
        finally:
            _lock.release()


def flush():
    global _sock
    while _lines:
        _unsent.extend(_lines.popleft())
    try:
        if _sock is not None and _unsent:
            del _unsent[: _sock.send(_unsent)]
    except BlockingIOError:
        if len(_unsent) > MOST:
            _unsent.clear()
            _sock = None  # a line is missing: what follows would mislead
            sys.stderr.write("crisper: the agent is off: the supervisor does not read\n")
    except OSError:
        _sock = None  # the supervisor is gone; the kernel will tell the worker
