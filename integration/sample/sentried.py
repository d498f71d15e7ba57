"""An app with Sentry, set up at module level as Sentry's documentation tells."""

import logging
import os

import sentry_sdk
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from sentry_sdk.integrations.celery import CeleryIntegration

sentry_sdk.init(
    dsn=os.environ["SENTRY_DSN"],
    traces_sample_rate=1.0,
    send_default_pii=True,
    integrations=[CeleryIntegration(monitor_beat_tasks=True)],
)

app = Celery("sentried")
app.conf.task_default_queue = "default"


@app.task
def add(x, y):
    return x + y


@app.task
def fail(secret):
    logging.getLogger("sentried").warning("about to fail")
    raise ValueError("for Sentry")


@app.task(throws=(KeyError,))
def expected():
    raise KeyError("is no error")


@app.task(bind=True, max_retries=1)
def retry(self):
    raise self.retry(countdown=0.05, exc=ConnectionError("for Sentry, after the retry"))


@app.task
def parent():
    return add.delay(1, 1).id


@app.task(soft_time_limit=1)
def soft():
    try:
        while True:
            sum(range(1000))
    except SoftTimeLimitExceeded:
        raise


@app.task
def leave():
    """The last thing that a child does: what it told Sentry must not be lost with it."""
    sentry_sdk.capture_message("from a child that leaves")


def publish(name, args=(), headers=None):
    """What a web request does: publishes inside a transaction."""
    with sentry_sdk.start_transaction(op="http.server", name="publish") as transaction:
        result = app.send_task("sentried." + name, args, headers=headers)
    sentry_sdk.flush()
    return {"id": result.id, "trace": transaction.trace_id}
