"""Tells the supervisor when the worker is ready, what it has in hand and has done, and
when its loop last turned.

Celery's signals say when it is ready; two pairs of functions are wrapped in the moment
in which their modules come to be, because no signal tells what they know: the Redis
transport's QoS (which deliveries are in hand) and celery.worker.state's task_accepted
and task_ready (which tasks run): follow.py. How it is told is in telling.py.

No thread: the worker forks, and a fork with threads is what it should not be made to
do. Nothing here blocks: what has no room waits in memory.
"""
import importlib.util
import os
import sys
import time

from crisper_inject import follow, look, telling
from crisper_inject.telling import guarded, say

EVERY = 0.25  # seconds between two looks at the counters
TURNS = 1.0  # seconds between two reports when nothing has changed

_consumer = None
_last = None
_reported = 0.0  # when the last report went out
_timer = None


def begin(link, memory):
    """Take over the socket and the ring, and wait for Celery to be imported."""
    telling.begin(link, memory)
    os.register_at_fork(after_in_child=telling.silence)
    say({"said": "hello", "pid": os.getpid(), "python": sys.version.split()[0]})
    wanted = {"celery.signals": connect, "celery.worker.state": follow.tasks, "celery.worker.request": follow.cuts}
    wanted["kombu.transport.redis"] = follow.deliveries
    sys.meta_path.insert(0, _Watch(wanted))


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


def connect(signals):
    signals.worker_ready.connect(on_ready, weak=False, dispatch_uid="crisper")
    signals.worker_shutting_down.connect(on_leaving, weak=False, dispatch_uid="crisper")
    signals.worker_shutdown.connect(on_left, weak=False, dispatch_uid="crisper")


@guarded
def on_ready(sender=None, **_):
    global _consumer
    import celery

    _consumer, pool = sender, look.pool(sender)
    telling.prompt = pool != "prefork"
    say({"said": "ready", "node": sender.hostname, "celery": celery.__version__, "pool": pool, "start": look.start()})
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


def on_left(**_):
    telling.hurry()


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
    if now != _last or telling.untold() or time.monotonic() - _reported >= TURNS:
        _last, _reported = now, time.monotonic()
        say(dict(now, said="counts", at=time.time()))
    else:
        telling.flush()
