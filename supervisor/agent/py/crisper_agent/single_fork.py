"""Fork a child that is left to our parent, and copy our memory once.

fork() twice makes such a child too, but the process between is a copy as well: half of
what it costs, for a process that leaves at once. Here the process between shares our
memory, as after vfork(): it runs below the stack that is in use while we stand still,
calls fork() and leaves. That is libc's and Python's own fork(), so that whoever
registered a handler for forks has it called, once.

What the child of such a process would lack is the kernel's notion of its rseq area
(glibc 2.35 and later; sched_getcpu reads it). It is registered again; where that cannot
be made sure of, there is no single fork.
"""
import ctypes
import errno
import functools
import os
import platform
import sys

CLONE_VM, CLONE_VFORK, SIGCHLD = 0x100, 0x4000, 17
#: Number of the system call rseq, and the signature that glibc registers with it.
RSEQ = {'x86_64': (334, 0x53053053), 'aarch64': (293, 0xd428bc00)}


class Unable(Exception):
    """Not on this system, or not now: fork twice."""


class SingleFork:
    """A way to fork, made once, by the main thread and from where it will be used."""

    def __init__(self):
        if not (sys.platform == 'linux' and sys.implementation.name == 'cpython'
                and getattr(sys, '_is_gil_enabled', lambda: True)()):
            raise Unable('not CPython on Linux')
        # PyDLL keeps the interpreter locked: nobody else may use it while we stand still.
        self.libc = ctypes.PyDLL(None, use_errno=True)
        self.clone = self.libc.clone
        self.register_rseq = find_rseq(self.libc)
        self.stack = ctypes.c_void_p(end_of_stack())
        self.flags = ctypes.c_int(CLONE_VM | CLONE_VFORK | SIGCHLD)
        self.entry = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(self.between)
        self.body = self.forked = None

    def __call__(self, body):
        """fork(), with body(pid of the process between) as the life of the child: it must
        not return. Returns the child's pid."""
        if len(os.listdir('/proc/self/task')) > 1:
            raise Unable('other threads would go on')
        self.body, self.forked = body, None
        middle = self.clone(self.entry, self.stack, self.flags, None)
        if middle < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        os.waitpid(middle, 0)
        self.body = None
        if self.forked is None:
            raise OSError(errno.ECHILD, 'the intermediate process died')
        if isinstance(self.forked, OSError):
            raise self.forked
        return self.forked

    def between(self, _):
        """The process between, in our memory: what it notes, we read."""
        middle = os.getpid()
        try:
            self.forked = os.fork()
        except OSError as exc:
            self.forked = exc
        if self.forked == 0:
            try:
                if self.register_rseq() == 0:
                    self.body(middle)
            finally:
                os._exit(1)
        return 0


def end_of_stack():
    """The lower end of the stack in use. The process between, and then the child, go on
    from here, and the kernel makes it grow. Asked once: it would grow with each fork."""
    with open('/proc/self/maps') as file:
        for line in file:
            if line.rstrip().endswith('[stack]'):
                return int(line.split('-')[0], 16)
    raise Unable('no stack is found')


def find_rseq(libc):
    """A function that registers this thread's rseq area, and returns 0. The kernel says
    whether we know the right one: an area that is registered already is busy."""
    try:
        offset = ctypes.c_ssize_t.in_dll(libc, '__rseq_offset').value
        size = ctypes.c_uint.in_dll(libc, '__rseq_size').value
    except ValueError:
        size = 0  # this libc does not use it
    if not size:
        return lambda: 0
    if platform.machine() not in RSEQ:
        raise Unable('a machine whose rseq is unknown')
    number, signature = RSEQ[platform.machine()]
    area = thread_pointer(libc) + offset

    for length in sorted({32, size, (size + 31) // 32 * 32}):
        # What the call needs is made here: a child would write to more pages to make it.
        register = functools.partial(libc.syscall, ctypes.c_long(number), ctypes.c_void_p(area),
                                     ctypes.c_uint(length), ctypes.c_int(0), ctypes.c_uint(signature))
        if register() == -1 and ctypes.get_errno() == errno.EBUSY:
            return register
    raise Unable('the rseq area is not where it should be')


def thread_pointer(libc):
    libc.pthread_self.restype = ctypes.c_size_t
    if platform.machine() == 'x86_64':
        return libc.pthread_self()
    return libc.pthread_self() + ctypes.c_uint.in_dll(libc, '_thread_db_sizeof_pthread').value
