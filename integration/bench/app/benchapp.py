"""The application that the benchmark runs under both workers, unchanged."""

import os
import time

from benchcount import count, note
from celery import Celery

app = Celery("benchapp")
app.conf.update(task_default_queue="bench", broker_connection_retry_on_startup=True)


@app.task(ignore_result=True)
def noop():
    count()


@app.task
def add(x, y):
    count()
    return x + y


@app.task(ignore_result=True)
def stamp(number):
    """When it began, on the clock that all processes share."""
    note(number, time.monotonic_ns())
    count()


@app.task(ignore_result=True)
def pulse():
    """Two milliseconds of waiting, with start and end on record."""
    start = time.monotonic_ns()
    time.sleep(0.002)
    note(os.getpid(), start, time.monotonic_ns())
    count()
