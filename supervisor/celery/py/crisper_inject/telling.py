"""How it is told. Single facts go into the shared memory (ring.py). All else is one JSON
value a line on the socket; each says up to where the memory may be read, and wakes the
supervisor.
"""
import _thread
import collections
import json
import os
import socket
import sys
from time import time

from crisper_inject import ring
from crisper_inject.ring import SETTLED, SHORT, packed

MOST = 8 << 20  # bytes that wait for a supervisor that does not read
MOST_FACTS = 50_000  # facts that do so, beside those in the ring; some 5 MB
BEHIND = 100  # facts that do so when messages are left out: those are large

_sock = None  # None: nothing is to be said, or not any more
_ring = None
_lock = _thread.allocate_lock()  # guards what follows but for appending; never waited for
_facts = collections.deque()  # records that the ring had no room for, or no time
_settled = collections.deque(maxlen=100_000)  # tags: told with the next fact, or the next look at the counters
settled = _settled.append
prompt = False  # those are told at once: a task may hold up the loop, and with it the next look
_lines = collections.deque()  # for the socket
_unsent = bytearray()  # what the socket did not take
_told = 0  # the ring's position that was said last


def begin(link, memory):
    """Take over the socket and the ring."""
    global _sock, _ring
    _ring = ring.Ring(memory)
    _sock = socket.socket(fileno=link)
    os.set_inheritable(_sock.fileno(), False)
    _sock.setblocking(False)


def silence():
    """The pool's processes have our memory, and nothing to say."""
    global _sock, _ring
    sock, memory, _sock, _ring = _sock, _ring, None, None
    _facts.clear()
    _settled.clear()
    try:
        if sock is not None:
            sock.close()
        if memory is not None:
            memory.close()
    except (OSError, ValueError, BufferError):  # somebody wrote when we were forked: both stay open, unused
        pass


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
    _settled.clear()
    sys.stderr.write("crisper: the agent is off: %r\n" % (exc,))


def tell(kind, value):
    """A fact about a delivery, or the end of a task. Nearly all are told here, in as few
    steps as it takes."""
    if _sock is None:
        return
    try:
        value = value.encode() if type(value) is str and len(value) <= SHORT and value.isascii() else ring.octets(value)
        record = packed(9 + len(value), kind, time()) + value
        if _settled:
            record = behind(record)
        if _facts or not _ring.write(record):
            _facts.append(record)
        if _ring.head - _told > _ring.size >> 1:
            tell_half()
        if _facts or _lines:
            flush()
    except Exception as exc:
        off(exc)


def put(record):
    """As tell does, what is a record already."""
    if _settled:
        record = behind(record)
    if _facts or not _ring.write(record):
        _facts.append(record)
    if _ring.head - _told > _ring.size >> 1:
        tell_half()
    if _facts or _lines:
        flush()


def behind(record):
    """With what was to be told before."""
    if len(_settled) == _settled.maxlen:
        raise OverflowError("too much was settled and not told")
    records = []
    try:
        while _settled:
            records.append(ring.one(SETTLED, _settled.popleft()))
    except IndexError:  # another thread has told the last one
        pass
    records.append(record)
    return b"".join(records)


def tell_half():
    """Half of the ring is to be read: the other half takes what comes meanwhile."""
    global _told
    _told = _ring.head
    _lines.append(b'{"said":"told","upto":%d}\n' % _told)


def untold():
    """Is there a fact of which the supervisor does not know that it may be read?"""
    return bool(_settled) or _ring.head != _told


def room():
    """For what is large, and can be done without?"""
    return len(_facts) < BEHIND


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
    while more and (_facts or _settled or _lines or _unsent) and _sock is not None and _lock.acquire(False):
        try:
            more = write()
            if _lines or _unsent:
                more = send() and more
        finally:
            _lock.release()


@guarded
def hurry():
    flush()


def write():
    """False: the ring is full, or somebody is writing into it, who comes here then."""
    if _settled:
        _facts.append(behind(b""))
    while _facts:
        if not _ring.write(_facts[0]):
            if len(_facts) > MOST_FACTS:
                give_up()
            return False
        _facts.popleft()
        if _ring.head - _told > _ring.size >> 1:
            tell_half()
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
    _settled.clear()
    _unsent.clear()
    sys.stderr.write("crisper: the agent is off: the supervisor does not read\n")
