"""How tasks tell of themselves without the broker, and nearly for nothing: a counter
in shared memory (BENCH_COUNTER), and lines in a file (BENCH_LOG) where times matter.
"""

import mmap
import os
import threading

SLOTS = 1 << 16  # one 64-bit counter for each thread id modulo this: nobody shares one
_here = threading.local()  # (pid, counter, index): a fork opens its own
_log = None


def count():
    """One more task has run here. About 0.3 microseconds."""
    pid = os.getpid()
    if getattr(_here, "pid", None) != pid:
        with open(os.environ["BENCH_COUNTER"], "r+b") as file:
            _here.words = memoryview(mmap.mmap(file.fileno(), SLOTS * 8)).cast("Q")
        _here.pid, _here.index = pid, threading.get_native_id() % SLOTS
    _here.words[_here.index] += 1


def note(*words):
    global _log
    pid = os.getpid()
    if _log is None or _log[0] != pid:
        _log = (pid, os.open(os.environ["BENCH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644))
    os.write(_log[1], (" ".join(map(str, words)) + "\n").encode())
