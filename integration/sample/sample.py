"""The sample application: an ordinary Celery app that does good and bad things.

Nothing here knows Crisper. Broker and result backend come from Celery's own
variables, CELERY_BROKER_URL and CELERY_RESULT_BACKEND, so that the same file
runs under `celery -A sample worker` and under `crisper worker -A sample`.

Journalled tasks write their own start and end to the file SAMPLE_JOURNAL names:
outside the broker, one line per write to an O_APPEND descriptor, so that a test
can say what ran, where and how often without believing anybody's bookkeeping.
"""

import functools
import json
import os
import signal
import time

from celery import Celery, current_task
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.worker.control import control_command, inspect_command
from kombu import Queue

app = Celery("sample")
app.conf.update(
    task_default_queue="default",
    task_queues=[Queue("default"), Queue("emails"), Queue("slow")],
    broker_connection_retry_on_startup=True,
    result_expires=3600,
    worker_send_task_events=False,
    task_send_sent_event=False,
    broker_transport_options=json.loads(os.environ.get("SAMPLE_TRANSPORT_OPTIONS", "{}")),
)
app.conf.update(json.loads(os.environ.get("SAMPLE_CONF", "{}")))

_journal = None  # (pid, descriptor): every process opens its own


def note(event, **facts):
    """Append one line to the journal. A single write: lines never mix."""
    path = os.environ.get("SAMPLE_JOURNAL")
    if not path:
        return
    global _journal
    if _journal is None or _journal[0] != os.getpid():
        _journal = (os.getpid(), os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644))
    request = current_task.request if current_task else None
    line = {
        "event": event,
        "task": current_task.name if current_task else "",
        "id": request.id if request else "",
        "pid": os.getpid(),
        "wall": time.time(),
        "mono": time.monotonic(),
        "retries": request.retries if request else 0,
        "redelivered": bool((request.delivery_info or {}).get("redelivered")) if request else False,
    }
    line.update(facts)
    os.write(_journal[1], json.dumps(line).encode() + b"\n")


def journalled(body):
    @functools.wraps(body)
    def run(*args, **kwargs):
        note("start")
        outcome = "ok"
        try:
            return body(*args, **kwargs)
        except BaseException as exc:
            outcome = type(exc).__name__
            raise
        finally:
            note("end", outcome=outcome)

    return run


# Plain work.


@app.task(ignore_result=True)
def noop():
    """Nothing, as fast as possible: for the bench. Not journalled."""


@app.task(ignore_result=True)
@journalled
def tick(number=0):
    """Nothing, but journalled."""


@app.task
@journalled
def add(x, y):
    return x + y


@app.task
@journalled
def total(numbers):
    return sum(numbers)


@app.task
@journalled
def echo(value):
    return value


@app.task
@journalled
def length(value):
    return len(value)


@app.task
def whoami():
    return {"pid": os.getpid(), "ppid": os.getppid()}


@app.task(bind=True)
def context(self):
    """What a task sees of its own request: the same under every worker."""
    request = self.request
    known = {name: getattr(request, name, None) for name in (
        "args", "kwargs", "id", "root_id", "parent_id", "group", "chord", "correlation_id", "retries", "timelimit",
        "expires", "eta", "is_eager", "called_directly", "shadow", "ignore_result", "stamps", "stamped_headers")}
    known["delivery_info"] = dict(request.delivery_info)
    known["hostname"] = bool(request.hostname)
    known["reply_to"] = bool(request.reply_to)
    known["origin"] = bool(request.origin)
    known["headers"] = {k: v for k, v in (request.headers or {}).items() if k.startswith("x-")}
    known["logfile"] = os.environ.get("CELERY_LOG_FILE", "")
    return known


@app.task(ignore_result=True)
def stamp(sent):
    """Says when it began, beside when it was sent: for latencies."""
    note("start", sent=sent)


@app.task
@journalled
def sleepy(seconds):
    time.sleep(seconds)
    return seconds


@app.task(acks_late=True)
@journalled
def sleepy_late(seconds):
    time.sleep(seconds)
    return seconds


@app.task(acks_late=True, reject_on_worker_lost=True)
@journalled
def sleepy_lost(seconds):
    time.sleep(seconds)
    return seconds


@app.task(ignore_result=True)
@journalled
def burn(seconds):
    """Keep a core busy."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


# Celery's ways of not succeeding.


@app.task
@journalled
def fail(message="on purpose"):
    raise ValueError(message)


@app.task(acks_late=True, acks_on_failure_or_timeout=False)
@journalled
def fail_unacked():
    raise ValueError("goes back, because failures are not acknowledged")


@app.task(bind=True, max_retries=5)
@journalled
def retry(self, times):
    if self.request.retries < times:
        raise self.retry(countdown=0.05)
    return self.request.retries


@app.task(bind=True)
@journalled
def ignore(self):
    raise Ignore()


@app.task(bind=True, acks_late=True)
@journalled
def reject(self, requeue=False):
    """Rejects; when asked to requeue, only the first time."""
    if requeue and self.request.delivery_info.get("redelivered"):
        return "second time"
    raise Reject("on purpose", requeue=requeue)


@app.task
@journalled
def soft(seconds):
    """Tells whether the soft limit reached it."""
    try:
        time.sleep(seconds)
    except SoftTimeLimitExceeded:
        return "soft limit"
    return "slept"


@app.task(ignore_result=True)
@journalled
def on_error(request, exc, traceback):
    note("errback", failed=request.id, exception=repr(exc))


# Bad manners. Each takes its child with it, or tries to.


@app.task
@journalled
def crash(status=3):
    os._exit(status)


@app.task(acks_late=True, reject_on_worker_lost=True)
@journalled
def crash_lost(status=3):
    """Poison: goes back to the queue each time it has killed a child."""
    os._exit(status)


@app.task
@journalled
def die(number=int(signal.SIGKILL)):
    os.kill(os.getpid(), number)
    time.sleep(60)


@app.task
@journalled
def leave():
    raise SystemExit(1)


_leaked = []


@app.task
@journalled
def leak(megabytes):
    """Memory that is still there after the task."""
    _leaked.append(os.urandom(1 << 20) * megabytes)
    return megabytes


@app.task
@journalled
def hog(megabytes, seconds=0, step=8, pause=0.005):
    """Takes memory piece by piece, touches it, and lets go at the end."""
    held = []
    for _ in range(0, megabytes, step):
        held.append(bytearray(os.urandom(1 << 20)) * step)
        time.sleep(pause)  # so that it can be measured while it grows
    time.sleep(seconds)
    return len(held) * step


@app.task
@journalled
def close_descriptors():
    os.closerange(0, 1024)
    return "closed"


@app.task
@journalled
def fork_and_linger(seconds):
    """Leaves a process behind that outlives the task and holds its descriptors."""
    pid = os.fork()
    if pid == 0:
        time.sleep(seconds)
        os._exit(0)
    return pid


@app.task
@journalled
def chatter(megabytes):
    """Prints a great deal. SAMPLE_QUIET spares the log of a test."""
    if os.environ.get("SAMPLE_QUIET"):
        for descriptor in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    line = "x" * 1023
    for _ in range(megabytes * 1024):
        print(line)
    return megabytes


# The demo: something of everything, for ever.


def demo_step(number):
    """Send one round of the demo; see integration/tools/demo.sh."""
    add.delay(number, number)
    sleepy.delay(0.2 + number % 5 * 0.2)
    leak.delay(3)
    if number % 4 == 0:
        (add.s(1, 2) | echo.s()).delay()
    if number % 6 == 2:
        fail.delay("demo failure %d" % number)
    if number % 9 == 5:
        crash.delay(3)
    if number % 12 == 7:
        soft.apply_async((5,), soft_time_limit=1)


# Commands of the app's own.


@control_command(args=[("number", int)], signature="[number]")
def double(state, number=0):
    return {"ok": 2 * number}


@inspect_command()
def whoami_panel(state):
    return {"app": state.app.main, "at": "@" in state.hostname}


@inspect_command()
def broken_panel(state):
    raise LookupError("on purpose")
