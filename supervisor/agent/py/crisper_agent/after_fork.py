"""What a fresh child must undo or redo, in the order of Celery's prefork pool.

Celery: billiard/process.py (_bootstrap), concurrency/prefork.py
(process_initializer), billiard/pool.py (Worker.after_fork), 5.3 to 5.7.
docs/explanation/fork-safety.md says why each step is there.

Whatever a child looks at it writes to (reference counts), and so copies the page of.
So what can be looked up or made before the fork is: this file is imported last.
"""
import ctypes
import fcntl
import mmap
import os
import resource
import socket
import sys
import time

from billiard import common, process, util
from billiard.context import ForkProcess

from . import guard, wire

try:
    # What signal.py wraps: its conversions to enumerations and back touch hundreds of objects.
    import _signal as signal
except ImportError:  # another interpreter
    import signal

PR_SET_PDEATHSIG = 1
PRCTL = getattr(ctypes.CDLL(None), 'prctl', None)
#: Our descriptors sit up here, so that a task that closed everything and opens
#: its own files does not get our socket's number for one of them.
HIGH_FD = min(300, max(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2))


def take_socket(fd):
    """The child's end of its socket pair, out of the way."""
    high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH_FD)
    os.close(fd)
    sock = socket.socket(fileno=high)
    sock.setblocking(True)
    return sock


def take_page(fd):
    """The shared page as 64-bit words: [0] is ours, [1] and [2] the supervisor's."""
    page = mmap.mmap(fd, wire.PAGE_SIZE, mmap.MAP_SHARED)
    os.close(fd)
    return memoryview(page).cast('Q')


#: The process object of a child, made once: all that differs is set after the fork.
_this = ForkProcess(name='child')
_this.daemon = True  # as in the pool: a task may not start billiard processes
#: What the child replaces. To free it would cost more than to keep it.
_kept = process._current_process, getattr(sys.modules.get('multiprocessing.process'), '_current_process', None)


def forget_parent(name, index):
    """Make billiard and multiprocessing believe that this is a pool child."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    become(name, index)
    run_after_forkers(util)
    if 'multiprocessing.util' in sys.modules:
        run_after_forkers(sys.modules['multiprocessing.util'])


def become(name, index):
    _this.name = name
    _this.index = index - 1  # %i and %I in log file names
    _this._parent_pid = os.getppid()
    process._set_current_process(_this)
    process._children.clear()


def run_after_forkers(util):
    # Finalizers belong to the parent. The hooks reset kombu's pools, the app's
    # connections and its backend (app._after_fork, signal on_after_fork).
    util._finalizer_registry.clear()
    util._run_after_forkers()


def reset_signals():
    """Before user code runs: nothing of the zygote's is left, ^C is not for us."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(number, signal.SIG_DFL)
    # Until the real handler is there, a soft limit must not kill us.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    common._should_have_exited[0] = False
    if common.REMAP_SIGTERM:
        signal.signal(common.TERM_SIGNAL, signal.SIG_IGN)


def catch_exit_signals():
    """TERM and its kind unwind the task: finally blocks and shutdown handlers run."""
    common.reset_signals()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def die_with(supervisor, middle):
    """Have the kernel kill us when the supervisor dies.

    The intermediate parent must be gone first: its exit would count as the death. Its
    memory is freed before, which takes as long as copying it did; so this comes last.
    """
    if not sys.platform.startswith('linux'):
        return
    while os.getppid() == middle:
        time.sleep(0.0002)
    PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != supervisor:
        os._exit(EXIT_ORPHANED)


@guard.never_raise
def be_killed_first(score):
    if score > 0:
        with open('/proc/self/oom_score_adj', 'w') as file:
            file.write(str(score))


#: Exit statuses that are ours; docs/explanation/fork-safety.md lists them.
EXIT_CHANNEL, EXIT_ORPHANED, EXIT_PROTOCOL = 113, 114, 115
