"""The application that the benchmark runs under both workers, unchanged.

Tasks tell of themselves without the broker and nearly for nothing: a counter in
shared memory (BENCH_COUNTER), and lines in a file (BENCH_LOG) where times matter.
"""

import mmap
import os
import time

from celery import Celery

app = Celery("benchapp")
app.conf.update(task_default_queue="bench", broker_connection_retry_on_startup=True)

SLOTS = 1 << 16  # one 64-bit counter for each pid modulo this: nobody shares one
_counter = _log = None  # (pid, ...): every process opens its own


def count():
    """One more task has run here. About 0.2 microseconds."""
    global _counter
    pid = os.getpid()
    if _counter is None or _counter[0] != pid:
        with open(os.environ["BENCH_COUNTER"], "r+b") as file:
            _counter = (pid, memoryview(mmap.mmap(file.fileno(), SLOTS * 8)).cast("Q"))
    _counter[1][pid % SLOTS] += 1


def note(*words):
    global _log
    pid = os.getpid()
    if _log is None or _log[0] != pid:
        _log = (pid, os.open(os.environ["BENCH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644))
    os.write(_log[1], (" ".join(map(str, words)) + "\n").encode())


@app.task(ignore_result=True)
def noop():
    count()


@app.task
def add(x, y):
    count()
    return x + y


@app.task(ignore_result=True)
def stamp(sent):
    """When it was sent and when it began, on the clock that all processes share."""
    note(sent, time.monotonic_ns())
    count()


@app.task(ignore_result=True)
def pulse():
    """Two milliseconds of waiting, with start and end on record."""
    start = time.monotonic_ns()
    time.sleep(0.002)
    note(os.getpid(), start, time.monotonic_ns())
    count()
