"""What several tests of the agent stand on."""
import json
import os
import socket
import struct
import tempfile
import unittest

from crisper_inject import ring, telling

SIZE = 512 << 10


class Odd:
    def __str__(self):
        raise RuntimeError("no")


def shared(size=SIZE):
    """A file like the supervisor's, and a descriptor to give away."""
    file = tempfile.TemporaryFile()
    file.truncate(ring.HEADER + size)
    return file, os.dup(file.fileno())


def word(file, at):
    return struct.unpack("<Q", os.pread(file.fileno(), 8, at))[0]


def records(file, size=SIZE):
    """What lies between tail and head, as kind and field."""
    head, tail = word(file, 0), word(file, 64)
    data = os.pread(file.fileno(), size, ring.HEADER)
    return split(bytes(data[p % size] for p in range(tail, head)))


def split(text):
    found = []
    while text:
        (n,) = struct.unpack_from("<H", text)
        found.append((text[2:3].decode(), text[11 : 2 + n].decode("utf-8", "replace")))
        text = text[2 + n :]
    return found


class Agent(unittest.TestCase):
    """The agent between two ends that the test holds."""

    def setUp(self):
        self.file, fd = shared()
        self.theirs, ours = socket.socketpair()
        self.theirs.settimeout(10)
        ours.setblocking(False)
        telling._ring, telling._sock, telling._told = ring.Ring(fd), ours, 0
        self.ours = ours

    def tearDown(self):
        telling._sock = None
        telling._facts.clear(), telling._settled.clear(), telling._lines.clear(), telling._unsent.clear()
        self.theirs.close(), self.ours.close(), self.file.close()

    def lines(self):
        return [json.loads(line) for line in self.theirs.recv(1 << 20).splitlines()]


class Task:
    def __init__(self, late):
        self.acks_late = late


class Message:
    channel = None
    delivery_tag = "tag"
    headers, properties, delivery_info = {"task": "proj.t", "id": "id"}, {"correlation_id": "id"}, {"routing_key": "default"}
    content_type, content_encoding = "application/json", "utf-8"

    def __init__(self, body=b"[[], {}, {}]"):
        self.body = body


class Request:
    id, name = "id", "proj.t"

    def __init__(self, late, body=b"[[], {}, {}]"):
        self.task, self.message = Task(late), Message(body)
