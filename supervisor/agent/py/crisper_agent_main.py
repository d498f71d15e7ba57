"""Entry of the zygote: `python crisper_agent_main.py PROTOCOL`, control socket on fd 3;
and of the recorder: `python crisper_agent_main.py PROTOCOL recorder`, its socket there.

The directory of this file is private to the supervisor. It must not stay on
sys.path: the app has to see exactly what it sees under the `celery` command.
"""
import os
import sys


def enter():
    here = os.path.dirname(os.path.abspath(__file__))
    # Python puts the script's directory first, unless it was told to be safe (-P).
    if sys.path and os.path.realpath(sys.path[0]) == os.path.realpath(here):
        del sys.path[0]
    sys.path.insert(0, here)
    try:
        if sys.argv[2:] == ['recorder']:
            from crisper_agent import recorder as main
        else:
            from crisper_agent import zygote as main
    finally:
        sys.path.remove(here)
    main.main(sys.argv[1:])


if __name__ == '__main__':
    enter()
