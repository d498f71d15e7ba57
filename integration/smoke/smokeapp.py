"""The tasks of integration/smoke_test.go, beside those of the sample app."""
import logging
import os
import signal
import time

from sample import *  # noqa: F401,F403
from sample import app, journalled

logger = logging.getLogger(__name__)


@app.task(name="sample.killed_with_retries", default_retry_delay=0, max_retries=2)
@journalled
def killed_with_retries():
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="sample.dies_once", acks_late=True, reject_on_worker_lost=True)
@journalled
def dies_once(marker):
    """Takes its child with it when it runs for the first time."""
    if not os.path.exists(marker):
        open(marker, "w").close()
        os._exit(1)
    return "survived"


@app.task(name="sample.limited", time_limit=2)
@journalled
def limited():
    time.sleep(60)


@app.task(name="sample.soft_then_hard", soft_time_limit=1, time_limit=20)
@journalled
def soft_then_hard():
    time.sleep(60)


@app.task(name="sample.replaces", bind=True)
@journalled
def replaces(self, name, *args):
    return self.replace(app.tasks[name].s(*args))


@app.task(name="sample.requeued_once", bind=True, acks_late=True)
@journalled
def requeued_once(self, x):
    from celery.exceptions import Reject
    if not self.request.delivery_info.get("redelivered"):
        raise Reject("again", requeue=True)
    return x + 1
