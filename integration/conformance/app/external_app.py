"""The app of the worker outside: what the tests build in their own process.

Everything that celery.contrib.testing.app and t/integration/conftest.py configure
must be configured here, or the two sides would speak about different apps.
"""
import os

from celery import Celery

app = Celery("celery.tests", set_as_current=True)
app.set_default()
app.conf.update(
    broker_url=os.environ["TEST_BROKER"],
    result_backend=os.environ["TEST_BACKEND"],
    result_extended=True,
    accept_content={"json"},
    enable_utc=True,
    timezone="UTC",
    broker_heartbeat=0,
    worker_hijack_root_logger=False,
    worker_log_color=False,
    task_create_missing_queues=False,
)

import celery.contrib.testing.tasks  # noqa: E402,F401  celery.ping
from t.integration.tasks import ClassBasedAutoRetryTask  # noqa: E402

app.register_task(ClassBasedAutoRetryTask)
