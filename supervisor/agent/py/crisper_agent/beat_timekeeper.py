"""The process that has loaded the app as `celery beat` does, and answers for it.

One thread, one socket to beat/app, no connection to the broker. It answers one
request after the other; the end of the socket is its end.
"""
import ctypes
import gc
import json
import os
import signal
import socket
import struct
import sys
import time
import traceback

from . import guard, wire
from .zygote import headline, leave

#: Agrees with protocol in beat/app/start.go.
PROTOCOL = 1
CONTROL_FD = 3
PR_SET_PDEATHSIG = 1
EXIT_APP = 4
ENTRIES = ord('E')
LENGTH = struct.Struct('!I')
#: A frame of entries is sent when it is larger than this.
FULL = 1 << 20


def main(argv):
    control = socket.socket(fileno=CONTROL_FD)
    control.set_inheritable(False)
    die_with_parent()
    # ^C reaches the whole group of a terminal; the supervisor decides what it means.
    # A handler, not SIG_IGN: processes that the app starts must not inherit it.
    signal.signal(signal.SIGINT, lambda signum, frame: None)
    gc.disable()  # all that is made while loading stays: looking through it again and again is idle
    try:
        options = read_options(control, argv)
        keeper = load(control, options)
    except BaseException as exc:
        fail(control, exc)
    gc.freeze()
    gc.enable()
    serve(control, keeper)
    leave(0)


@guard.never_raise
def die_with_parent():
    """While the app is imported, or hangs, nobody looks at the socket."""
    if sys.platform.startswith('linux'):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def read_options(control, argv):
    if argv[:1] != [str(PROTOCOL)]:
        raise RuntimeError(f'the timekeeper speaks protocol {PROTOCOL}, not {argv[:1]}')
    frame = wire.read_frame(control)
    if frame is None:
        leave(0)
    kind, _, payload, _ = frame
    if kind != wire.OPTIONS:
        raise RuntimeError(f'the first frame is of kind {kind}')
    return json.loads(payload)


def load(control, options):
    from . import beat_load
    from .beat_describe import describe
    from .beat_keeper import Keeper
    loaded = beat_load.load(options)
    guard.set_title('crisper: timekeeper')
    began = time.monotonic()
    keeper = Keeper(loaded)
    entries = list(keeper.describe_entries())
    info = describe(loaded, keeper, time.monotonic() - began)
    control.sendall(wire.pack_json(wire.LOADED, 0, info))
    send_entries(control, entries)
    return keeper


def send_entries(control, entries):
    """All of them in frames of moderate size, and an empty one at the end."""
    frame = bytearray()
    for head, blueprint in entries:
        for part in (json.dumps(head), blueprint):
            data = part.encode()
            frame += LENGTH.pack(len(data))
            frame += data
        if len(frame) > FULL:
            control.sendall(wire.pack(ENTRIES, 0, bytes(frame)))
            frame.clear()
    if frame:
        control.sendall(wire.pack(ENTRIES, 0, bytes(frame)))
    control.sendall(wire.pack(ENTRIES, 0))


def fail(control, exc):
    """A load error is loud: the whole traceback for people, one line for the supervisor."""
    text = ''.join(traceback.format_exception(type(exc), exc, exc.__traceback__))
    sys.__stderr__.write(text)
    try:
        control.sendall(wire.pack_json(wire.FAILED, 0, {'error': headline(exc), 'traceback': text}))
    except OSError:
        pass  # nobody is there, and stderr has it
    leave(EXIT_APP)


def serve(control, keeper):
    while True:
        try:
            frame = wire.read_frame(control)
        except ConnectionResetError:
            return
        if frame is None:
            return
        kind, seq, payload, _ = frame
        if kind == wire.EXIT:
            return
        if kind != wire.REQUEST:
            guard.say(f'the supervisor sent a frame of kind {kind}')
            return
        head, blueprint = answer(control, keeper, json.loads(payload))
        head = json.dumps(head).encode()
        control.sendall(wire.pack(wire.ANSWER, seq, LENGTH.pack(len(head)) + head + blueprint.encode()))


def answer(control, keeper, request):
    """The answer to a request: a dict, and a blueprint or nothing. Code of the app may
    raise anything in here, and that is an answer too."""
    try:
        op = request['op']
        if op == 'render':
            return keeper.render(request['entry'], request['task_id'], request['due'])
        if op == 'ask':
            return keeper.ask(request['entry'], request['last']), ''
        if op == 'import':
            return keeper.import_file(request['filename']), ''
        if op == 'announce':
            entries = keeper.announce()
            if entries is not None:
                send_entries(control, entries)
            return {'changed': entries is not None}, ''
        return {'error': f'the timekeeper knows no {op!r}'}, ''
    except BaseException as exc:
        return {'error': headline(exc) or repr(exc)}, ''
