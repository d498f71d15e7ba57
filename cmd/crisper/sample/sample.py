"""A little app whose tasks do what tasks do: add, sleep, fail, crash and leak."""

import os
import time

from celery import Celery

app = Celery("sample")
app.conf.task_default_queue = "sample"
app.conf.broker_connection_retry_on_startup = True

_leaked = []


@app.task
def add(x, y):
    return x + y


@app.task
def sleep(seconds):
    time.sleep(seconds)
    return seconds


@app.task(bind=True, max_retries=2)
def flaky(self, chance):
    """Fails now and then, and is tried again."""
    if os.urandom(1)[0] < 256 * chance:
        raise self.retry(exc=ConnectionError("the weather is bad"), countdown=1)
    return "fine"


@app.task
def fail(reason):
    raise ValueError(reason)


@app.task
def leak(megabytes):
    """Never gives its memory back: the child is replaced after a few of these."""
    _leaked.append(os.urandom(1 << 20) * megabytes)
    return len(_leaked)


@app.task
def crash():
    """Takes its child with it, without a word."""
    os._exit(3)


@app.task
def endless():
    """Runs into its soft time limit."""
    while True:
        time.sleep(0.1)
