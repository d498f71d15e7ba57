"""Facts about deliveries and tasks, in memory that the supervisor shares: writing one is
no call of the kernel, and what was written outlives the worker, however it dies.

The layout is in supervisor/celery/ring/doc.go; testdata there has bytes that both
sides are tested with.
"""
import _thread
import mmap
import os
import struct
from time import time

TAKEN, BOOKED, SETTLED, ACCEPTED, MESSAGE, ENDED = b"tksame"  # numbers, one byte each
HEADER = 4096  # bytes
HEAD, TAIL = 0, 8  # words of eight bytes
SHORT = 128  # letters of a field that nearly all have
LONGEST = 512  # bytes of a field; what is longer came from somebody else's message
PART = 60_000  # bytes of a message in one record

packed = struct.Struct("<HBd").pack  # length of the rest, kind, time; then the field
_task = struct.Struct("<HBdBHH").pack  # …, late, length of the tag, of the id; then tag, id, name
_part = struct.Struct("<HBdBH").pack  # …, whether more of it follows, length of the id; then id, part


def octets(value):
    """Tags, ids and names come from messages: they may be anything."""
    if isinstance(value, str):
        value = value.encode("utf-8", "replace")
    elif value is None:
        return b""
    elif not isinstance(value, bytes):
        value = str(value).encode("utf-8", "replace")  # RabbitMQ's tags are numbers
    return value[:LONGEST]


def one(kind, value, at=None):
    """A record with one field."""
    value = octets(value)
    return packed(9 + len(value), kind, time() if at is None else at) + value


def task(tag, task_id, name, late, at=None):
    """A task begins."""
    tag, task_id, name = octets(tag), octets(task_id), octets(name)
    head = _task(14 + len(tag) + len(task_id) + len(name), ACCEPTED, time() if at is None else at, late, len(tag), len(task_id))
    return head + tag + task_id + name


def message(task_id, text, at=None):
    """The message of a task that has begun, in as many records as it takes."""
    task_id, at = octets(task_id), time() if at is None else at
    for begin in range(0, len(text), PART):
        part = text[begin : begin + PART]
        more = 1 if begin + PART < len(text) else 0
        yield _part(12 + len(task_id) + len(part), MESSAGE, at, more, len(task_id)) + task_id + part


def begun(tag, task_id, name, text):
    """Both of a task that is acknowledged early, in one step, where they are as nearly
    always; None where they are not."""
    try:
        fields, at = tag + task_id + name, time()
        if len(fields) > LONGEST or len(text) >= PART or not fields.isascii():
            return None
    except TypeError:
        return None
    n = len(task_id)
    head = _task(14 + len(fields), ACCEPTED, at, 0, len(tag), n)
    return b"".join((head, fields.encode(), _part(12 + n + len(text), MESSAGE, at, 0, n), task_id.encode(), text))


class Ring:
    """The file is ours from now on."""

    def __init__(self, fd):
        self._map = mmap.mmap(fd, 0)  # has a descriptor of its own, closed when somebody execs
        os.close(fd)
        self._all = memoryview(self._map)
        self._words = self._all[:HEADER].cast("Q")
        self._data = self._all[HEADER:]
        self.size = len(self._data)
        self.head = self._words[HEAD]
        lock = _thread.allocate_lock()
        self._acquire, self._release = lock.acquire, lock.release

    def write(self, record):
        """False: somebody else is writing, or there is no room. The head is moved by one
        store of eight bytes when the record is there: who dies within this has told nothing."""
        if not self._acquire(False):
            return False
        try:
            head, n, data = self.head, len(record), self._data
            if head + n - self._words[TAIL] > self.size:
                return False
            at = head % self.size
            if at + n <= self.size:
                data[at : at + n] = record
            else:
                left = self.size - at
                data[at:] = record[:left]
                data[: n - left] = record[left:]
            self.head = self._words[HEAD] = head + n
            return True
        finally:
            self._release()

    def close(self):
        for view in (self._words, self._data, self._all):
            view.release()
        self._map.close()
