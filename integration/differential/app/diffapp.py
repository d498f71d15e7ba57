"""The app of the differential runs: one task for each outcome, ack mode and result setting.

DIFF_JOURNAL: the file in which task bodies and signal handlers write what they see.
DIFF_SIGNALS: connect receivers to all signals that Celery's worker sends.
"""
import json
import os
import signal as unix
import sys
import time

import celery
from billiard.process import current_process
from celery import Celery, signals
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded

app = Celery("diff")
app.conf.update(task_default_queue="diff", result_extended=True, broker_connection_retry_on_startup=True,
                worker_hijack_root_logger=True, worker_prefetch_multiplier=4)
_journal = {}


def note(event, **facts):
    """One line, one write: what happened, and in what kind of process."""
    pid = os.getpid()
    if pid not in _journal:
        _journal[pid] = os.open(os.environ["DIFF_JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    facts.update(event=event, kind=current_process().name.partition("-")[0])
    os.write(_journal[pid], json.dumps(facts, default=repr).encode() + b"\n")


class Odd(Exception):
    """Cannot be made again from its args."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


MODES = {
    "early": {},
    "late": {"acks_late": True},
    "late_lost": {"acks_late": True, "reject_on_worker_lost": True},
    "late_noack": {"acks_late": True, "acks_on_failure_or_timeout": False},
}
if celery.VERSION >= (5, 7):
    MODES["late_retry"] = {"acks_late": True, "retry_on_worker_lost": True, "default_retry_delay": 0, "max_retries": 1}
RESULTS = {
    "stored": {},
    "ignored": {"ignore_result": True},
    "errors": {"ignore_result": True, "store_errors_even_if_ignored": True},
}


def again(task):
    """It ran before: was delivered or sent again."""
    return bool(task.request.retries or (task.request.delivery_info or {}).get("redelivered"))


def success(task):
    return {"answer": 42}


def nothing(task):
    pass


def failure(task):
    raise ValueError("on purpose")


def odd(task):
    raise Odd(7, "odd")


def retry(task):
    if not task.request.retries:
        raise task.retry(countdown=0, max_retries=3)
    return "in the end"


def retry_out(task):
    raise task.retry(countdown=0, max_retries=1, exc=KeyError("gone"))


def ignore(task):
    raise Ignore()


def reject(task):
    raise Reject("no", requeue=False)


def requeue(task):
    if not again(task):
        raise Reject("not now", requeue=True)
    return "second time"


def soft(task):
    time.sleep(30)  # longer than its limit


def soft_caught(task):
    try:
        time.sleep(30)
    except SoftTimeLimitExceeded:
        return "caught"


def hard(task):
    if not again(task):
        time.sleep(30)
    return "second time"


def killed(task):
    if not again(task):
        os.kill(os.getpid(), unix.SIGKILL)
        time.sleep(30)
    return "second time"


def sys_exit(task):
    if not again(task):
        sys.exit(3)
    return "second time"


def os_exit(task):
    if not again(task):
        os._exit(3)
    return "second time"


def unserialisable(task):
    return object()


def progress(task):
    task.update_state(state="PROGRESS", meta={"step": 1})
    return "done"


def replaced(task):
    raise task.replace(app.signature(task.name.replace("replaced", "success")))


OUTCOMES = {
    success: {}, nothing: {}, failure: {}, odd: {}, retry: {}, retry_out: {}, ignore: {}, reject: {}, requeue: {},
    soft: {"soft_time_limit": 1}, soft_caught: {"soft_time_limit": 1}, hard: {"time_limit": 1}, killed: {},
    sys_exit: {}, os_exit: {}, unserialisable: {}, progress: {}, replaced: {},
}


def define(body, name, options):
    def run(self, *args):
        note("run", id=self.request.id, retries=self.request.retries,
             redelivered=bool(self.request.delivery_info.get("redelivered")), args=args)
        return body(self)

    run.__name__ = body.__name__
    app.task(run, bind=True, name=name, **options)


for body, own in OUTCOMES.items():
    for mode, by_mode in MODES.items():
        for setting, by_setting in RESULTS.items():
            define(body, f"diff.{body.__name__}.{mode}.{setting}", {**own, **by_mode, **by_setting})


@app.task(name="diff.callback")
def callback(result):
    note("run", id=callback.request.id, args=[result])


@app.task(name="diff.errback")
def errback(request, exc, traceback):
    note("errback", id=request.id, exception=repr(exc), traced=bool(traceback))


@app.task(name="diff.body")
def body(results):
    note("run", id=body.request.id, args=[results])
    return results


# What handlers are given is compared by name, and by value where it is always the same.
PLAIN = ("reason", "exception", "result", "requeue", "terminated", "expired", "signum", "state", "retval", "args", "kwargs",
         "how", "name")


def recorder(name):
    def record(sender=None, signal=None, **given):
        request = given.get("request")
        task_id = given.get("task_id") or given.get("id") or getattr(request, "id", None)
        headers = given.get("headers") or getattr(given.get("message"), "headers", None) or {}
        if name == "task_success":  # is told neither
            task_id = sender.request.id
        note("signal", signal=name, id=task_id or headers.get("id"), gets=sorted(given),
             sender=getattr(sender, "name", None) or (sender if isinstance(sender, str) and "@" not in sender
                                                       else type(sender).__name__),
             values={key: repr(given[key]) for key in PLAIN if key in given})
    return record


RECORDED = (
    "before_task_publish", "after_task_publish", "task_received", "task_prerun", "task_postrun", "task_success", "task_failure",
    "task_retry", "task_rejected", "task_revoked", "task_unknown", "task_internal_error", "celeryd_init", "celeryd_after_setup",
    "worker_init", "worker_process_init", "worker_process_shutdown", "worker_ready", "worker_shutting_down", "worker_shutdown")
if os.environ.get("DIFF_SIGNALS"):
    for each in RECORDED:
        getattr(signals, each).connect(recorder(each), weak=False)
