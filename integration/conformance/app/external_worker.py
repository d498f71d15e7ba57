"""A pytest plugin: Celery's integration tests against a worker outside their process.

Their session fixture asks celery.contrib.testing.worker.start_worker for a worker, by
the module's attribute, when the first test needs one: that attribute is replaced, before
any test is collected. What is told in the environment:

CONFORMANCE_WORKER   the command as JSON, with {node} where the node name belongs
CONFORMANCE_LOG      the worker's output
CONFORMANCE_RESULTS  one JSON line per event: a test's result, a worker's end
CONFORMANCE_SKIP     file of tests that are not for a worker outside
CONFORMANCE_ONLY     file of the tests to run, if not all of them
CONFORMANCE_READY    URL that answers 200 when the worker is ready; none: it is asked by ping
"""
import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.request

import celery.contrib.testing.worker as upstream
import owned
import pytest
from celery.result import _set_task_join_will_block, allow_join_result
from celery.utils.nodenames import anon_nodename

READY_WITHIN = 60  # seconds
LEAVES_WITHIN = 30

# The session's worker; None until the first test asks for one.
worker = None


def tell(event, **facts):
    with open(os.environ["CONFORMANCE_RESULTS"], "a") as out:
        out.write(json.dumps(dict(facts, event=event)) + "\n")


class Outside:
    """The worker process, in a process group of its own; it ends with this one."""

    def __init__(self, app, node):
        self.app, self.node = app, node
        self.process = None
        self.pid = os.getpid()  # some tests ask for it; theirs is not the worker's

    def start(self):
        command = [part.replace("{node}", self.node) for part in json.loads(os.environ["CONFORMANCE_WORKER"])]
        with open(os.environ["CONFORMANCE_LOG"], "ab") as log:
            self.process = owned.popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + READY_WITHIN
        while not self.answers():
            if self.process.poll() is not None:
                raise RuntimeError("the worker ended with %d before it was ready" % self.process.returncode)
            if time.monotonic() > deadline:
                raise RuntimeError("the worker was not ready in %d s" % READY_WITHIN)
        with allow_join_result():
            from celery.contrib.testing.tasks import ping
            assert ping.delay().get(timeout=READY_WITHIN) == "pong"

    def answers(self):
        url = os.environ.get("CONFORMANCE_READY")
        if not url:
            return bool(self.app.control.ping(destination=[self.node], timeout=0.5))
        time.sleep(0.05)  # nobody announces that a port is open
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False

    def dead(self):
        return self.process is not None and self.process.poll() is not None

    def stop(self):
        """The exit code of a warm shutdown, or None when it had to be killed."""
        if self.process is None:
            return None
        code = None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self.process.wait(LEAVES_WITHIN)
        self.kill()
        return code

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None


@contextlib.contextmanager
def start_worker(app, hostname=None, **kwargs):
    global worker
    app.finalize()
    app.set_current()
    app.set_default()
    worker = Outside(app, hostname or anon_nodename())
    worker.start()
    _set_task_join_will_block(False)
    try:
        yield worker
    finally:
        tell("worker stopped", code=worker.stop())
        worker = None


upstream.start_worker = start_worker
owned.leave_with_parent()


def listed(variable):
    """Test ids of a file: the first word of each line; # begins a comment."""
    path = os.environ.get(variable)
    if not path:
        return None
    with open(path) as lines:
        return {line.split()[0] for line in lines if line.strip() and not line.startswith("#")}


def pytest_ignore_collect(collection_path, config):
    """A whole file that is left out is not even imported."""
    file = collection_path.relative_to(config.rootpath).as_posix()
    if file in (listed("CONFORMANCE_SKIP") or ()):
        tell("left out", test=file)
        return True
    return None


def pytest_collection_modifyitems(config, items):
    limit = config.getoption("timeout")
    skip, only = listed("CONFORMANCE_SKIP") or set(), listed("CONFORMANCE_ONLY")
    chosen, left_out = [], []
    for item in items:
        # Their own limits are for other machines: one is 20 s for what takes 17 to 25 s here, under any worker.
        if limit and item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(limit), append=False)
        unwanted = matches(item.nodeid, skip) or only is not None and not matches(item.nodeid, only)
        (left_out if unwanted else chosen).append(item)
    items[:] = chosen
    for item in chosen:
        tell("chosen", test=item.nodeid, worker="celery_session_worker" in item.fixturenames)
    config.hook.pytest_deselected(items=left_out)
    for item in left_out:
        tell("left out", test=item.nodeid)


def matches(nodeid, wanted):
    """A file or class in the list stands for its tests, a test for all its parameters."""
    parts = nodeid.partition("[")[0].split("::")
    return nodeid in wanted or any("::".join(parts[:n]) in wanted for n in range(1, len(parts) + 1))


# What is known of the test that runs now: outcome of the worst phase, and its words.
current = {}


def pytest_runtest_logstart(nodeid):
    current.clear()
    current.update(outcome="", words="", began=time.monotonic())


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    # Some tests make a worker in their own process, which then forbids all others to wait for results.
    _set_task_join_will_block(False)
    if worker is not None and worker.process is None:
        worker.start()  # after the test that failed before this one


def pytest_runtest_logreport(report):
    if report.failed:
        current.update(outcome="failed", words=current["words"] + "\n" + report.longreprtext)  # of a subtest, then of the whole
    elif current["outcome"] != "failed":
        if report.skipped:
            current["outcome"] = "xfailed" if hasattr(report, "wasxfail") else "skipped"
        elif report.when == "call":
            current["outcome"] = "xpassed" if hasattr(report, "wasxfail") else "passed"


def pytest_runtest_logfinish(nodeid):
    died = worker is not None and worker.dead()
    if died:
        tell("worker died", test=nodeid, code=worker.process.returncode)
    tell("test", test=nodeid, outcome=current["outcome"], words=current["words"][-4000:],
         seconds=round(time.monotonic() - current["began"], 3), died=died)
    if worker is not None and worker.process and (died or current["outcome"] == "failed"):
        # The next test must not pay for what this one has left behind.
        worker.kill()
        with worker.app.connection_for_write() as connection:
            connection.default_channel.client.flushall()
