import os

from celery import shared_task
from celery.signals import task_prerun, worker_process_init
from django.db import connection

from . import database

first = {}


@worker_process_init.connect(weak=False)
def before_django(**kwargs):
    """Connected when tasks are imported, before Celery's fixup connects its own: runs first."""
    pid, inherited, descriptor = database.inherited
    first["forked"] = pid != os.getpid()
    first["has the parent's connection"] = connection.connection is inherited
    first["its descriptor is open"] = database.descriptor_is_open(descriptor)


@task_prerun.connect(weak=False)
def before_task(**kwargs):
    first["connection before a task"] = connection.connection is not None
    # Looked at once: the number may be that of another file later.
    first.setdefault("the parent's descriptor was closed", not database.descriptor_is_open(database.inherited[2]))


@shared_task
def look():
    """What a task finds of the connection that its parent had."""
    found = dict(first)
    found["a new connection is asked for"] = connection.connection is not database.inherited[1]
    with connection.cursor() as cursor:
        cursor.execute("SELECT 40 + 2")
        found["the answer"] = cursor.fetchone()[0]
    return found


@shared_task(bind=True)
def kind(self):
    return [cls.__module__ + "." + cls.__name__ for cls in type(self).__mro__ if "celery" in cls.__module__]
