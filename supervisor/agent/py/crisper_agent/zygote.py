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

from . import guard, single_fork, wire

CONTROL_FD = 3
EXIT_APP = 4
PID = struct.Struct('!i')
SCAN = json.JSONDecoder().scan_once


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
    """Import, look at what forking would break, prepare for children, and report."""
    from . import describe, preload, trim
    loaded = preload.load(options)
    guard.set_title('crisper: zygote')
    threads, sockets = describe.threads(), describe.sockets(CONTROL_FD)
    if (threads or sockets) and options.get('threads') == 'refuse':
        raise Refused('forking from this app is not safe: ' + '; '.join(
            [f'thread {name}' for name in threads] + [f'socket {name}' for name in sockets]))
    trim.unmap_files()
    report = wire.pack_json(wire.LOADED, 0, describe.describe(loaded, threads, sockets))
    if options.get('only') != 'info':
        prepare(loaded)
    control.sendall(report)
    return loaded


def prepare(loaded):
    """Everything that makes a child copy fewer pages. A child copies the page of whatever
    it writes to or looks at. The order matters: what children use comes last, so that it
    lies together and nothing takes its place in Python's caches."""
    from . import child, holes, quicken, warm
    child.prepare(loaded)
    quicken.quicken()
    forget_methods()
    warm.warm_up(loaded)
    gc.collect()  # all of it: each child would collect what is left
    holes.fill()
    gc.freeze()  # no collection may touch what they share


def forget_methods():
    """Empty Python's cache of where it found methods. It is full of what the import looked
    up, and a child that needs the place writes to the name that held it as well."""
    clear = getattr(sys, '_clear_internal_caches', None) or getattr(sys, '_clear_type_cache', None)
    if clear:
        clear()


def fail(control, exc):
    """A preload error is loud: the whole traceback for people, one line for the supervisor."""
    text = ''.join(traceback.format_exception(type(exc), exc, exc.__traceback__))
    line = headline(exc)
    usage = is_usage(exc)
    if not usage:  # a traceback through Celery says nothing about what was typed
        sys.__stderr__.write(text)
    try:
        control.sendall(wire.pack_json(
            wire.FAILED, 0, {'child': 0, 'error': line, 'traceback': text, 'usage': usage, 'option': no_such_option(exc)}))
    except OSError:
        pass  # the supervisor is gone, and stderr has it
    leave(EXIT_APP)


def is_usage(exc):
    """What was typed is wrong, and not the app: click's errors and those of name=value."""
    from .preload import BadSetting
    click = sys.modules.get('click')
    return isinstance(exc, BadSetting) or click is not None and isinstance(exc, click.UsageError)


def no_such_option(exc):
    """What was typed and is no option, with all that there are; None: it is not about that."""
    click = sys.modules.get('click')
    if click is None or not isinstance(exc, click.NoSuchOption) or exc.ctx is None:
        return None
    known = [name for param in exc.ctx.command.params for name in param.opts + param.secondary_opts]
    return {'name': exc.option_name, 'known': [name for name in known if name.startswith('--')]}


def headline(exc):
    """The error in one line; for Celery's two-part messages also the cause."""
    from .preload import LoadError
    if not isinstance(exc, LoadError):
        message = getattr(exc, 'message', None) or str(exc)  # click's have .message
        return ' '.join(f'{type(exc).__name__}: {message}'.split())
    lines = [line for line in str(exc).splitlines() if line.strip()]
    return ' '.join(lines[:2] + lines[2:][-1:])


def leave(status):
    guard.flush_std()
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
    request, _ = SCAN(payload.decode(), 0)  # json.loads and dumps touch a hundred objects more
    try:
        pid = fork_child(lambda middle: loaded.be_child(loaded, request, control, fds, supervisor, middle), loaded)
        answer = wire.pack(wire.FORKED, 0, b'{"child": %d, "pid": %d}' % (request['child'], pid))
    except OSError as exc:
        answer = wire.pack_json(wire.FAILED, 0, {'child': request['child'], 'error': f'cannot fork: {exc}'})
    finally:
        for fd in fds:
            os.close(fd)
    control.sendall(answer)


def fork_child(body, loaded):
    """Fork so that the child is left to the supervisor (PID 1 or subreaper), which can wait
    for it; and so that it does not depend on us. Returns the child's pid."""
    loaded.before_fork()
    guard.flush_std()  # or both would write what is buffered

    def life(middle):
        try:
            body(middle)
        except BaseException as exc:
            if guard.told_to_go(exc):
                os._exit(exc.code & 0xff)  # as from its loop, which it had not reached
            traceback.print_exc(file=sys.__stderr__)
            guard.flush_std()
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
