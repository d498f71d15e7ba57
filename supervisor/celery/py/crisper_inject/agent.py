"""Tells the supervisor when the worker is ready, what it has in hand and has done, and
when its loop last turned.

Celery's signals say when it is ready; two pairs of functions are wrapped in the moment
in which their modules come to be, because no signal tells what they know: the Redis
transport's QoS (which deliveries are in hand) and celery.worker.state's task_accepted
and task_ready (which tasks run). A wrapper tells and then calls what it wraps; what it
wraps gets the same arguments and its result or exception is passed on.

Single facts go into the shared memory (ring.py). All else is one JSON value a line on
the socket; each says up to where the memory may be read, and wakes the supervisor.

No thread: the worker forks, and a fork with threads is what it should not be made to
do. Nothing here blocks: what has no room waits in memory.
"""
import _thread
import collections
import importlib.util
import json
import os
import socket
import sys
import time

from crisper_inject import look, mail, ring

EVERY = 0.25  # seconds between two looks at the counters
TURNS = 1.0  # seconds between two reports when nothing has changed
MOST = 8 << 20  # bytes that wait for a supervisor that does not read
MOST_FACTS = 50_000  # facts that do so, beside those in the ring; some 5 MB
BEHIND = 100  # facts that do so when messages are left out: those are large

_sock = None  # None: nothing is to be said, or not any more
_ring = None
_lock = _thread.allocate_lock()  # guards what follows but for appending; never waited for
_facts = collections.deque()  # records for the ring
_lines = collections.deque()  # for the socket
_unsent = bytearray()  # what the socket did not take
_told = 0  # the ring's position that was said last
_followed = ()  # the channels whose deliveries are told of one by one
_consumer = None
_last = None
_reported = 0.0  # when the last report went out
_timer = None


def begin(link, memory):
    """Take over the socket and the ring, and wait for Celery to be imported."""
    global _sock, _ring
    _ring = ring.Ring(memory)
    _sock = socket.socket(fileno=link)
    os.set_inheritable(_sock.fileno(), False)
    _sock.setblocking(False)
    os.register_at_fork(after_in_child=silence)
    say({"said": "hello", "pid": os.getpid(), "python": sys.version.split()[0]})
    wanted = {"celery.signals": connect, "celery.worker.state": follow_tasks, "celery.worker.request": follow_cuts}
    wanted.update({"kombu.transport.redis": follow_deliveries, "kombu.message": follow_acks})
    sys.meta_path.insert(0, _Watch(wanted))


def silence():
    """The pool's processes have our memory, and nothing to say."""
    global _sock, _ring
    sock, memory, _sock, _ring = _sock, _ring, None, None
    _facts.clear()
    try:
        if sock is not None:
            sock.close()
        if memory is not None:
            memory.close()
    except (OSError, ValueError, BufferError):  # somebody wrote when we were forked: both stay open, unused
        pass


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
        if _sock is None:
            return
        try:
            function(*args, **kwargs)
        except Exception as exc:
            off(exc)

    return call


def off(exc):
    global _sock
    try:
        say({"said": "off", "why": repr(exc)})
    except Exception:  # not even that
        pass
    _sock = None
    _facts.clear()
    sys.stderr.write("crisper: the agent is off: %r\n" % (exc,))


# What is wrapped.


def follow_deliveries(transport):
    """A delivery is told before Redis is told that it is in hand, and let go of after
    Redis was told: what dies in between is looked for in vain, never overlooked. Where
    Redis could not be told, it is still in hand (anew)."""
    global _followed
    _followed = transport.Channel
    qos = transport.QoS
    append_, ack_, reject_, restore_by_tag_ = qos.append, qos.ack, qos.reject, qos.restore_by_tag

    def append(self, message, delivery_tag, *args, **kwargs):
        tell(ring.TAKEN, delivery_tag)
        try:
            return append_(self, message, delivery_tag, *args, **kwargs)
        finally:
            tell(ring.BOOKED, delivery_tag)

    def ack(self, delivery_tag, *args, **kwargs):
        result = ack_(self, delivery_tag, *args, **kwargs)
        tell(ring.SETTLED, delivery_tag)
        return result

    def reject(self, delivery_tag, *args, **kwargs):
        result = reject_(self, delivery_tag, *args, **kwargs)
        tell(ring.SETTLED, delivery_tag)
        return result

    def restore_by_tag(self, tag, *args, **kwargs):
        result = restore_by_tag_(self, tag, *args, **kwargs)
        tell(ring.SETTLED, tag)
        return result

    replace(qos, append, ack, reject, restore_by_tag)


def follow_acks(module):
    """With other transports nobody but the broker looks after what is in hand, and a task
    that is acknowledged early is in hand from its beginning until the broker was told so:
    that waits for the worker's loop, which under the solo pool is when the task has ended."""
    message = module.Message
    ack_ = message.ack

    def ack(self, *args, **kwargs):
        result = ack_(self, *args, **kwargs)
        if not isinstance(self.channel, _followed):
            tell(ring.SETTLED, self.delivery_tag)
        return result

    replace(message, ack)


# Transports that forget a message when they have given it away.
FORGETFUL = ("filesystem", "memory", "mongodb", "sqlalchemy", "pyro", "zookeeper", "consul", "etcd")
_forgetful = {}  # by class of channel


def comes_back(channel):
    """Is a message that is not acknowledged delivered again when its worker is gone, by
    somebody who need not be told that it is in hand?"""
    back = _forgetful.get(channel)
    if back is None:
        name = channel.__module__.split(".")
        forgets = name[:2] == ["kombu", "transport"] and len(name) > 2 and name[2] in FORGETFUL
        back = _forgetful[channel] = not forgets and not issubclass(channel, _followed)
    return back


def follow_tasks(state):
    task_accepted_, task_ready_ = state.task_accepted, state.task_ready

    def task_accepted(request, *args, **kwargs):
        accepted(request)
        return task_accepted_(request, *args, **kwargs)

    def task_ready(request, *args, **kwargs):
        try:
            return task_ready_(request, *args, **kwargs)
        finally:
            if kwargs.get("successful") or not getattr(request, CUT, False):
                tell(ring.ENDED, request.id)

    replace(state, task_accepted, task_ready)


CUT = "crisper_cut"  # an attribute of requests


def follow_cuts(module):
    """Celery's cold shutdown ends a task that was acknowledged early and calls it retried,
    though nothing will retry it. That is no end: it goes with its worker."""
    request_class = module.Request
    announce = getattr(request_class, "_announce_cancelled", None)
    if announce is None:
        return

    def _announce_cancelled(self, *args, **kwargs):
        if not self.task.acks_late:
            setattr(self, CUT, True)
        return announce(self, *args, **kwargs)

    replace(request_class, _announce_cancelled)


def replace(owner, *functions):
    """In the place of those that have the same names."""
    for function in functions:
        inner = getattr(owner, function.__name__)
        function.__doc__, function.__wrapped__ = inner.__doc__, inner
        setattr(owner, function.__name__, function)


# What Celery signals.


def connect(signals):
    signals.worker_ready.connect(on_ready, weak=False, dispatch_uid="crisper")
    signals.worker_shutting_down.connect(on_leaving, weak=False, dispatch_uid="crisper")


@guarded
def on_ready(sender=None, **_):
    global _consumer
    import celery

    _consumer = sender
    say({"said": "ready", "node": sender.hostname, "celery": celery.__version__, "pool": look.pool(sender), "start": look.start()})
    say({"said": "broker", "broker": look.broker(sender.app)})
    loop = sender.loop

    def again(*args, **kwargs):
        anew()
        watch()  # a lost connection has cleared the timers, ours included
        return loop(*args, **kwargs)

    sender.loop = again
    watch()


@guarded
def on_leaving(**_):
    say({"said": "leaving"})


@guarded
def anew():
    """The worker begins to consume, perhaps with another connection. Of what it took with
    the one before it remembers nothing but the tasks that run; kombu has put the rest
    back, if Redis could be reached, which is what connections are lost for."""
    say({"said": "anew"})


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
    global _last, _reported
    now = look.counts(_consumer)
    if now != _last or _ring.head != _told or time.monotonic() - _reported >= TURNS:
        _last, _reported = now, time.monotonic()
        say(dict(now, said="counts", at=time.time()))
    else:
        flush()


# How it is told.


def tell(kind, value):
    """A fact about a delivery, or the end of a task."""
    if _sock is None:
        return
    try:
        _facts.append(ring.one(kind, value))
        flush()
    except Exception as exc:
        off(exc)


def accepted(request):
    """A task begins. If nobody will deliver its message again, that is told with it: whoever
    has to say what became of the task needs it."""
    if _sock is None:
        return
    try:
        message, late = request.message, request.task.acks_late
        tag = getattr(message, "delivery_tag", None)
        if not late and tag is not None and comes_back(type(getattr(message, "channel", None))):
            _facts.append(ring.one(ring.TAKEN, tag))
        _facts.append(ring.task(tag, request.id, request.name, 1 if late else 0))
        if not late and len(_facts) < BEHIND:
            text = mail.packed(message)
            if text is not None:
                _facts.extend(ring.message(request.id, text))
        flush()
    except Exception as exc:
        off(exc)


def say(message):
    """All that was told before can be read by the one who reads this."""
    global _told
    flush()
    _told = _ring.head
    _lines.append(json.dumps(dict(message, upto=_told)).encode() + b"\n")
    flush()


def flush():
    """Whoever cannot have the lock is another thread, or a signal handler in the midst of
    this: the one who has it takes along what there is."""
    more = True
    while more and (_facts or _lines or _unsent) and _sock is not None and _lock.acquire(False):
        try:
            more = write()
            if _lines or _unsent:
                more = send() and more
        finally:
            _lock.release()


def write():
    """False: the ring is full."""
    global _told
    while _facts:
        if not _ring.write(_facts[0]):
            if len(_facts) > MOST_FACTS:
                give_up()
            return False
        _facts.popleft()
        if _ring.head - _told > _ring.size >> 1:
            _told = _ring.head
            _lines.append(b'{"said":"told","upto":%d}\n' % _told)
    return True


def send():
    """False: the socket is full, or nobody is there."""
    global _sock
    while _lines:
        _unsent.extend(_lines.popleft())
    try:
        del _unsent[: _sock.send(_unsent)]
    except BlockingIOError:
        if len(_unsent) > MOST:
            give_up()
    except OSError:
        _sock = None  # the supervisor is gone; the kernel will tell the worker
    return not _unsent


def give_up():
    global _sock
    _sock = None  # a fact is missing: what follows would mislead
    _facts.clear()
    _unsent.clear()
    sys.stderr.write("crisper: the agent is off: the supervisor does not read\n")
