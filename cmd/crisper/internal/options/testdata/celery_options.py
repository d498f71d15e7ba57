"""Prints every option of `celery` and `celery worker` that Celery's own parser has.

One line each: where it is taken, its spellings, its environment variable, and
whether it takes a value. The golden lists beside this file are its output for the
oldest and the newest supported Celery.
"""

from celery.bin.celery import celery
from celery.bin.worker import worker

for scope, command in (("global", celery), ("worker", worker)):
    for option in command.params:
        spellings = " ".join(sorted(option.opts + option.secondary_opts, key=lambda s: (len(s), s)))
        variable = option.envvar or "-"
        print(scope, "flag" if option.is_flag else "value", option.name, variable, spellings)
