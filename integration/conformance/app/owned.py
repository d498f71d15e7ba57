"""Processes that do not outlive the run: an interrupted one must leave no worker behind."""
import ctypes
import os
import signal
import subprocess
import threading
import time

PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def popen(command, **arguments):
    """A process in a session of its own, which the kernel kills when we die, however we do.

    Call it from the main thread: the signal comes when the thread that forked ends.
    """
    parent = os.getpid()

    def dies_with_us():
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # we died meanwhile: the signal will not come
            os._exit(1)

    return subprocess.Popen(command, start_new_session=True, preexec_fn=dies_with_us, **arguments)


def leave_with_parent():
    """End this process, and with it what it owns, when the one that started it is gone.

    A thread looks for it, because the kernel's signal would come already when the
    parent's thread ends, and the parent is a Go program.
    """
    parent = os.getppid()

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="leave with parent").start()
