"""A module that imports and has no Celery app in it."""

nothing = 1
