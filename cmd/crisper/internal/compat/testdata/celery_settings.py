"""Prints every setting that Celery itself knows, with its default.

The golden lists beside this file are its output for the oldest and the newest
supported Celery.
"""

from celery.app.defaults import NAMESPACES, flatten

for name, option in sorted(flatten(NAMESPACES)):
    print(name, repr(option.default))
