"""Any Celery app, with a sampling profiler in every child.

    PROFILE_APP=benchapp PROFILE_DIR=/tmp/samples crisper worker -A profile_app -c 2
    PROFILE_APP=benchapp PROFILE_DIR=/tmp/samples celery -A profile_app worker -c 2
    python profile_app.py /tmp/samples            # who was on the CPU, self and total

Samples are taken by CPU time (SIGPROF, as often as the kernel ticks), so that waiting does not
count and an idle child costs nothing. No sys.setprofile: what is measured runs at its own
speed, but for about 1 %. Children write what they have every hundred samples.
"""

import collections
import importlib
import json
import os
import pathlib
import signal
import sys

PERIOD = 0.001
stacks = collections.Counter()
taken = 0


def sample(signum, frame):
    global taken
    stack = []
    while frame is not None and len(stack) < 60:
        code = frame.f_code
        stack.append("%s:%s" % ("/".join(code.co_filename.rsplit("/", 2)[-2:]), code.co_name))
        frame = frame.f_back
    stacks[tuple(stack)] += 1
    taken += 1
    if taken % 100 == 0:
        write()


def write():
    path = pathlib.Path(os.environ["PROFILE_DIR"], "%d.json" % os.getpid())
    path.write_text(json.dumps([[list(stack), n] for stack, n in list(stacks.items())]))


def begin(**_):
    stacks.clear()
    signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, PERIOD, PERIOD)


def show(folder, lines=45):
    own, total, everything = collections.Counter(), collections.Counter(), 0
    for path in pathlib.Path(folder).glob("*.json"):
        for stack, n in json.loads(path.read_text()):
            everything += n
            own[stack[0]] += n
            total.update({name: n for name in set(stack)})
    for title, counts in (("self", own), ("total", total)):
        print("%s, of %d samples" % (title, everything))
        for name, n in counts.most_common(lines):
            print("%6.1f %%  %s" % (100 * n / everything, name))


if __name__ == "__main__":
    show(sys.argv[1])
else:
    from celery.signals import worker_process_init

    app = importlib.import_module(os.environ["PROFILE_APP"]).app
    worker_process_init.connect(begin, weak=False)
