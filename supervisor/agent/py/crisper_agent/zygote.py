"""The process that has imported the app, and from then on only forks.

It holds one socket, to the supervisor, and one thread. Its end does not touch
the children: they are the supervisor's (see fork_child).
"""
import errno
import functools
import gc
import json
import os
import signal
import socket
import struct
import sys
import traceback

from . import after_fork, guard, single_fork, wire

CONTROL_FD = 3
EXIT_APP = 4
PID = struct.Struct('!i')


class Refused(Exception):
    """The app is loaded, but the policy forbids to fork from it."""


def main(argv):
    control = socket.socket(fileno=CONTROL_FD)
    control.set_inheritable(False)
    # ^C reaches the whole group of a terminal; the supervisor decides what it means.
    # A handler, not SIG_IGN: processes that the app starts must not inherit it.
    signal.signal(signal.SIGINT, lambda signum, frame: None)
    gc.disable()  # it would leave holes in the pages that children would then write into
    try:
        options = read_options(control, argv)
        loaded = load(control, options)
    except BaseException as exc:
        fail(control, exc)
    if options.get('only') == 'info':
        leave(0)
    serve(control, loaded)
    leave(0)


def read_options(control, argv):
    if argv[:1] != [str(wire.PROTOCOL)]:
        raise Refused(f'the agent speaks protocol {wire.PROTOCOL}, the supervisor {argv[:1]}')
    frame = wire.read_frame(control)
    if frame is None:
        leave(0)
    kind, _, payload, _ = frame
    if kind != wire.OPTIONS:
        raise Refused(f'the first frame is of kind {kind}')
    return json.loads(payload)


def load(control, options):
    """Import, freeze, look at what forking would break, and report."""
    from . import describe, preload
    loaded = preload.load(options)
    from . import executor, steward, trim, warm  # noqa: F401  imported once, here
    warm.warm_up(loaded)
    after_fork.set_title('crisper: zygote')
    gc.collect()
    gc.freeze()  # children share the pages: no collection may touch them
    trim.unmap_files()
    threads, sockets = describe.threads(), describe.sockets(CONTROL_FD)
    if (threads or sockets) and options.get('threads') == 'refuse':
        raise Refused('forking from this app is not safe: ' + '; '.join(
            [f'thread {name}' for name in threads] + [f'socket {name}' for name in sockets]))
    control.sendall(wire.pack_json(wire.LOADED, 0, describe.describe(loaded, threads, sockets)))
    return loaded


def fail(control, exc):
    """A preload error is loud: the whole traceback for people, one line for the supervisor."""
    text = ''.join(traceback.format_exception(type(exc), exc, exc.__traceback__))
    line = headline(exc)
    usage = is_usage(exc)
    if not usage:  # a traceback through Celery says nothing about what was typed
        sys.__stderr__.write(text)
    try:
        control.sendall(wire.pack_json(
            wire.FAILED, 0, {'child': 0, 'error': line, 'traceback': text, 'usage': usage}))
    except OSError:
        pass  # the supervisor is gone, and stderr has it
    leave(EXIT_APP)


def is_usage(exc):
    """What was typed is wrong, and not the app: click's errors and those of name=value."""
    from .preload import BadSetting
    click = sys.modules.get('click')
    return isinstance(exc, BadSetting) or click is not None and isinstance(exc, click.UsageError)


def headline(exc):
    """The error in one line; for Celery's two-part messages also the cause."""
    from .preload import LoadError
    if not isinstance(exc, LoadError):
        message = getattr(exc, 'message', None) or str(exc)  # click's have .message
        return ' '.join(f'{type(exc).__name__}: {message}'.split())
    lines = [line for line in str(exc).splitlines() if line.strip()]
    return ' '.join(lines[:2] + lines[2:][-1:])


def leave(status):
    after_fork.flush_std()
    os._exit(status)  # other threads and atexit hooks of the app must not hold us up


def serve(control, loaded):
    supervisor = os.getppid()
    while True:
        try:
            frame = wire.read_frame(control, max_fds=2)
        except ConnectionResetError:
            return
        if frame is None:
            return
        kind, _, payload, fds = frame
        if kind == wire.EXIT:
            return
        if kind != wire.FORK or len(fds) != 2:
            guard.say(f'the supervisor sent a frame of kind {kind} with {len(fds)} descriptors')
            return
        answer_fork(control, loaded, payload, fds, supervisor)


def answer_fork(control, loaded, payload, fds, supervisor):
    request = json.loads(payload)
    try:
        pid = fork_child(lambda middle: be_child(loaded, request, control, fds, supervisor, middle), loaded)
        answer = wire.pack_json(wire.FORKED, 0, {'child': request['child'], 'pid': pid})
    except OSError as exc:
        answer = wire.pack_json(wire.FAILED, 0, {'child': request['child'], 'error': f'cannot fork: {exc}'})
    finally:
        for fd in fds:
            os.close(fd)
    control.sendall(answer)


def fork_child(body, loaded):
    """Fork so that the child is left to the supervisor (PID 1 or subreaper), which can wait
    for it; and so that it does not depend on us. Returns the child's pid."""
    send_before_create(loaded)
    after_fork.flush_std()  # or both would write what is buffered

    def life(middle):
        try:
            body(middle)
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
            after_fork.flush_std()
        os._exit(1)

    try:
        return way_to_fork()(life)
    except single_fork.Unable:
        return fork_twice(life)


@functools.lru_cache(maxsize=None)
def way_to_fork():
    try:
        return single_fork.SingleFork()
    except (single_fork.Unable, OSError, ValueError, AttributeError):
        return fork_twice


def fork_twice(life):
    """The way that every system has."""
    reader, writer = os.pipe()
    middle = os.fork()
    if not middle:
        be_middle(life, reader, writer)
    os.close(writer)
    report = os.read(reader, PID.size)
    os.close(reader)
    os.waitpid(middle, 0)
    if len(report) != PID.size:
        raise OSError(errno.ECHILD, 'the intermediate process died')
    (pid,) = PID.unpack(report)
    if pid < 0:
        raise OSError(-pid, os.strerror(-pid))
    return pid


def be_middle(life, reader, writer):
    try:
        middle = os.getpid()
        os.close(reader)
        try:
            pid = os.fork()
        except OSError as exc:
            pid = -exc.errno
        if pid:
            os.write(writer, PID.pack(pid))
            os._exit(0)
        os.close(writer)
        life(middle)
    finally:
        os._exit(1)


def be_child(loaded, request, control, fds, supervisor, middle):
    """Everything up to the first frame, then the loop. Never returns."""
    control.close()
    gc.enable()
    after_fork.reset_signals()
    sock, words = after_fork.take_socket(fds[0]), after_fork.take_page(fds[1])
    after_fork.be_killed_first(request.get('oom_score_adj', 0))
    if request['role'] == 'steward':
        from . import steward
        after_fork.forget_parent('MainProcess', 1)
        after_fork.set_title('crisper: steward')
        child = steward.Steward(loaded, sock)
    else:
        from . import executor
        after_fork.forget_parent(f'ForkPoolWorker-{request["index"]}', request['index'])
        after_fork.set_title(f'crisper: slot {request["slot"]} gen {request["generation"]} ready')
        child = executor.Executor(loaded, request, sock, words)
    child.initialise()
    after_fork.die_with(supervisor, middle)
    try:
        sock.send(wire.pack_json(wire.HELLO, 0, {'child': request['child'], 'pid': os.getpid()}))
    except OSError:
        os._exit(after_fork.EXIT_CHANNEL)  # the supervisor is leaving and has closed it
    child.run()


@guard.never_raise
def send_before_create(loaded):
    from celery import signals
    signals.worker_before_create_process.send(sender=loaded.worker.pool)
