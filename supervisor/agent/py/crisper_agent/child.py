"""The life of a child of the zygote, from the fork on.

Imported when the app is loaded, and with it all that children alone need (zygote.prepare).
"""
import functools
import gc
import os

from celery import signals

from . import after_fork, executor, guard, hooks, steward, wire


def prepare(loaded):
    """Before the fork: what is the same in all children."""
    hooks.prepare(loaded.app, loaded.worker.hostname)
    loaded.be_child, loaded.before_fork = be_child, functools.partial(send_before_create, loaded)


@guard.never_raise
def send_before_create(loaded):
    signals.worker_before_create_process.send(sender=loaded.worker.pool)


def be_child(loaded, request, control, fds, supervisor, middle):
    """Everything up to the first frame, then the loop. Never returns."""
    os.close(control.detach())
    gc.enable()
    after_fork.reset_signals()
    sock, words = after_fork.take_socket(fds[0]), after_fork.take_page(fds[1])
    after_fork.be_killed_first(request.get('oom_score_adj', 0))
    if request['role'] == 'steward':
        after_fork.forget_parent('MainProcess', 1)
        guard.set_title('crisper: steward')
        child = steward.Steward(loaded, sock)
    else:
        after_fork.forget_parent(f'ForkPoolWorker-{request["index"]}', request['index'])
        guard.set_title(f'crisper: slot {request["slot"]} gen {request["generation"]} ready')
        child = executor.Executor(loaded, request, sock, words)
    child.initialise()
    after_fork.die_with(supervisor, middle)
    try:
        sock.send(wire.pack(wire.HELLO, 0, b'{"child": %d, "pid": %d}' % (request['child'], os.getpid())))
    except OSError:
        os._exit(after_fork.EXIT_CHANNEL)  # the supervisor is leaving and has closed it
    child.run()
