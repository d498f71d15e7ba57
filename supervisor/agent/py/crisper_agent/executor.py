"""Take a task, run it, report; one at a time.

The report of a task and the beginning of the next one leave in one packet when
the next one is there already: under load a task costs one send and one receive.
"""
import mmap
import os
import socket
import sys
import time
import traceback

from billiard.pool import Worker

from . import after_fork, guard, hooks, soft_limit, wire

BUFFER = 256 << 10
#: What a child may get in one frame; larger ones come as a file.
NOT_WAITING = getattr(socket, 'MSG_DONTWAIT', 0)


class Leave(Exception):
    """Told to leave, or nobody is there to work for."""


class Executor:
    """One process of the pool: its channel, its page and the loaded app."""

    def __init__(self, loaded, request, sock, words):
        self.app, self.hostname = loaded.app, loaded.worker.hostname
        self.request, self.sock, self.words = request, sock, words
        self.unsent = b''  # the report of the finished task

    def initialise(self):
        soft = hooks.SOFT_LIMIT_ERROR
        hooks.initialise_process(self.app, self.hostname)
        after_fork.catch_exit_signals()
        soft_limit.install(self.words, hooks.TRACE_GLOBALS, soft)
        os.register_at_fork(after_in_child=self.abandon)

    def abandon(self):
        """In a process that a task forked: it must not speak for us, nor keep the
        channel open. Should it return into the loop, the closed socket ends it."""
        self.sock.close()
        self.words.release()

    def run(self):
        """Until told to leave. Any exit, wanted or not, runs the shutdown signal."""
        status = 0
        try:
            self.run_in_workloop()
        except Leave:
            pass
        except SystemExit as exc:
            status = exit_status(exc)
        except KeyboardInterrupt:
            status = 1
        except (OSError, ValueError) as exc:
            guard.say(f'cannot speak to the supervisor: {exc!r}')
            os._exit(after_fork.EXIT_CHANNEL)
        self.leave(status)

    def run_in_workloop(self):
        """Inside billiard's own loop, because integrations wrap that one to flush
        what they hold when a child ends (sentry_sdk does)."""
        stand_in = Worker.__new__(Worker)
        stand_in.__dict__.update(
            inqW_fd=-1, synqW_fd=-1, maxtasks=None, max_memory_per_child=0, on_ready_counter=None,
            outq=_NoQueue(), wait_for_job=self.loop, wait_for_syn=None)
        Worker.workloop(stand_in, pid=os.getpid())

    def leave(self, status):
        """Celery's way out: the signal, then no atexit (billiard/pool.py, _do_exit)."""
        try:
            if self.unsent:
                self.sock.send(self.unsent)
            hooks.shut_down_process(self.hostname, os.getpid(), status)
            guard.flush_std()
        except BaseException as exc:
            if not guard.told_to_go(exc):
                traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(status & 0xff)

    def loop(self):
        # Everything that is used for each task is local: this is the hot path.
        buffer = mmap.mmap(-1, BUFFER)  # pages that no frame reaches cost nothing
        view, receive, send = memoryview(buffer), receiver(self.sock, buffer), self.sock.send
        header, pack, execute, words = wire.HEADER, wire.HEADER.pack, self.executor(), self.words
        while True:
            if self.unsent:
                try:
                    size = receive(NOT_WAITING)
                except BlockingIOError:
                    send(self.unsent)
                    self.unsent = b''
                    size = receive(0)
            else:
                size = receive(0)
            if not size:
                raise Leave
            length, kind, seq = header.unpack_from(buffer)
            if length + 4 != size or length < 9:
                self.broken(f'a frame of {length} bytes in {size}')
            payload, start, end = view, 13, size
            if kind == wire.LARGE:
                kind, payload = wire.large_payload(view, 13, size)
                start, end = 0, len(payload)
            if kind == wire.TASK:
                # Before Begun: from then on a soft limit may come.
                words[0] = seq
                send(self.unsent + pack(9, wire.BEGUN, seq))
                self.unsent = b''
                self.unsent = execute(seq, payload, start, end)
                words[0] = 0
            elif kind == wire.EXIT:
                raise Leave
            else:
                self.broken(f'a frame of kind {kind}')

    def broken(self, what):
        guard.say(f'the supervisor sent {what}')
        os._exit(after_fork.EXIT_PROTOCOL)

    def executor(self):
        """The function that runs one Task payload and returns the Done frame."""
        results, words = bool(self.request.get('results')), self.words  # [2]: results are wanted
        scan, decode, trace = hooks.SCAN, hooks.body_decoder(), hooks.trace
        split, pack_done, clock = wire.split_task, wire.pack_done, time.monotonic

        def execute(seq, view, start, end):
            try:
                text, content_type, encoding, at = split(view, start, end)
                request, _ = scan(text, 0)
                name, uuid, compression = request['task'], request['id'], request.get('compression')
            except Exception as exc:
                self.broken(f'a task that cannot be read: {exc!r}')
            try:
                parts = decode(view, at, end, content_type, encoding, compression)
                args, kwargs, embed = parts if type(parts) is list else hooks.parts_of(parts)
            except MemoryError as exc:
                return pack_done(seq, wire.OUT_OF_MEMORY, 0.0, repr(exc))
            except Exception as exc:
                return pack_done(seq, hooks.undecoded(exc), 0.0, repr(exc))
            began = clock()
            try:
                failed, value, runtime = trace.fast_trace_task(
                    name, uuid, request, (args, kwargs, embed), None, None)
            except BaseException as exc:
                return self.escaped(seq, request, exc, clock() - began)
            if not failed:
                return pack_done(seq, wire.SUCCESS, runtime, result=value or '' if results or words[2] else '')
            return pack_done(seq, *summary(value, runtime or clock() - began))

        def summary(info, runtime):
            outcome, exception, text = hooks.outcome_of(info)
            return outcome, runtime, exception, text

        return execute

    def escaped(self, seq, request, exc, runtime):
        """What the tracer let through."""
        from billiard.common import human_status
        if isinstance(exc, hooks.Reject):
            return wire.pack_done(seq, hooks.rejected(exc), runtime, hooks.reason(exc))
        if isinstance(exc, MemoryError):
            return wire.pack_done(seq, wire.OUT_OF_MEMORY, runtime, repr(exc))
        if isinstance(exc, (SystemExit, KeyboardInterrupt)):
            if not terminating():
                # Celery: worker/request.py, _worker_lost_info; 'Worker exited prematurely: ' goes before.
                what = human_status(exit_status(exc)) if isinstance(exc, SystemExit) else type(exc).__name__
                self.unsent = wire.pack_done(seq, wire.EXITED, runtime, f'{what}.')
            raise exc
        text = ''.join(traceback.format_exception(type(exc), exc, exc.__traceback__))
        if isinstance(exc, KeyError) and request['task'] not in self.app.tasks:
            exc = hooks.NotRegistered(request['task'])
        hooks.store_escaped(self.app, request, exc)
        return wire.pack_done(seq, wire.FAILURE, runtime, repr(exc), text)


class _NoQueue:
    """billiard's loop wants a queue to put results into; ours go through the socket."""

    put = None


def terminating():
    """Has a signal told us to go? Then the task was cut off and there is no report:
    the supervisor counts it as lost with the process (as billiard does)."""
    from billiard import common
    return bool(common._should_have_exited[0])


def exit_status(exc):
    code = getattr(exc, 'code', 1)
    if code is None:
        return 0
    return code if isinstance(code, int) else 1


def receiver(sock, buffer):
    """One whole frame into the buffer: its size, 0 at the end."""
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == getattr(socket, 'SOCK_SEQPACKET', None):
        recv_into = sock.recv_into
        return lambda flags: recv_into(buffer, 0, flags)

    def receive(flags):
        have = sock.recv_into(buffer, 4, flags)
        while 0 < have < 4:
            have += sock.recv_into(memoryview(buffer)[have:], 4 - have)
        size = have and 4 + wire.U32.unpack_from(buffer)[0]
        if size > len(buffer):
            return size
        while have < size:
            more = sock.recv_into(memoryview(buffer)[have:], size - have)
            if not more:
                return 0
            have += more
        return size

    return receive
