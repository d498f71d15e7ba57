import os

from celery import Celery
from celery.signals import celeryd_after_setup

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

app = Celery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@celeryd_after_setup.connect(weak=False)
def careless(**kwargs):
    """Uses the database in the process that the children are forked from."""
    from . import database

    database.open_in_parent()
