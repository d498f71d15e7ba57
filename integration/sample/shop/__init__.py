"""A Django project with Celery, laid out as both document it."""

from .celery import app as celery_app

app = celery_app
