"""Entry of the timekeeper: `python beat_main.py PROTOCOL`, control socket on fd 3.

The directories of these files must not stay on sys.path: the app has to see
exactly what it sees under the `celery` command.
"""
import os
import sys


def enter():
    here = os.path.dirname(os.path.abspath(__file__))
    # Python puts the script's directory first, unless it was told to be safe (-P).
    if sys.path and os.path.realpath(sys.path[0]) == os.path.realpath(here):
        del sys.path[0]
    root = os.path.dirname(here)
    sys.path.insert(0, root)
    try:
        from crisper_agent import beat_timekeeper
    finally:
        sys.path.remove(root)
    beat_timekeeper.main(sys.argv[1:])


if __name__ == '__main__':
    enter()
