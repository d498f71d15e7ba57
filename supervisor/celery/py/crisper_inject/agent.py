"""Tells the supervisor, one JSON object a line, when the worker is ready and how many
tasks it has in hand and has done.

It does not patch Celery: it connects to its signals when ``celery.signals`` has been
imported, and reads the counters that Celery's own remote control reads. No thread:
the worker forks, and a fork with threads is what it should not be made to do.
"""
import importlib.util
import json
import os
import socket
import sys
import time

EVERY = 0.25  # seconds between two looks at the counters
SHOWN = 50  # tasks named in one report

_sock = None
_owner = 0  # the pid that may speak; the pool's children have our memory, too
_last = None
_timer = None
_looked = 0.0  # when report last ran


def begin(fd):
    """Take over the socket and wait for Celery to be imported."""
    global _sock, _owner
    _sock = socket.socket(fileno=fd)
    os.set_inheritable(_sock.fileno(), False)
    _sock.setblocking(False)
    _owner = os.getpid()
    say({"said": "hello", "pid": _owner, "python": sys.version.split()[0]})
    sys.meta_path.insert(0, _Watch())


class _Watch:
    """Connects to Celery's signals in the moment in which they come to be."""

    def find_spec(self, name, path=None, target=None):
        if name != "celery.signals":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            guarded(connect)(module)

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


def connect(signals):
    signals.worker_ready.connect(on_ready, weak=False, dispatch_uid="crisper")
    signals.task_received.connect(on_received, weak=False, dispatch_uid="crisper")
    signals.worker_shutting_down.connect(on_leaving, weak=False, dispatch_uid="crisper")


@guarded
def on_ready(sender=None, **_):
    import celery

    say({"said": "ready", "node": sender.hostname, "celery": celery.__version__})
    watch(sender)


@guarded
def on_received(sender=None, **_):
    # A lost connection clears the worker's timers, ours included, without a word.
    if time.monotonic() - _looked > 4 * EVERY:
        if _timer is not None:
            _timer.cancel()
        watch(sender)


@guarded
def on_leaving(**_):
    say({"said": "leaving"})


def watch(consumer):
    global _timer
    timer = getattr(consumer, "timer", None)
    if timer is not None:
        _timer = timer.call_repeatedly(EVERY, report)
        report()


@guarded
def report():
    global _last, _looked
    _looked = time.monotonic()
    from celery.worker import state

    active = list(state.active_requests)
    now = {
        "said": "counts",
        "accepted": state.all_total_count[0],
        "active": len(active),
        "reserved": len(state.reserved_requests),
        "tasks": [[r.id, r.name] for r in active[:SHOWN]],
    }
    if now != _last and say(now):
        _last = now


def say(message):
    """True when the line went out; one that does not fit is given up."""
    try:
        line = json.dumps(message).encode() + b"\n"
        return _sock is not None and _sock.send(line) == len(line)
    except BlockingIOError:
        return False
    except OSError:
        return False  # the supervisor is gone; the kernel will tell the worker
