"""Frames as supervisor/wire/doc.go defines them. Imports nothing of ours."""
import json
import os
import socket
import struct

#: Grows when either side of the format changes; checked when the zygote starts.
PROTOCOL = 1

TASK, LARGE, EXIT = ord('T'), ord('L'), ord('X')
HELLO, BEGUN, DONE = ord('H'), ord('B'), ord('D')
REQUEST, ANSWER = ord('R'), ord('A')
OPTIONS, FORK = ord('O'), ord('F')
LOADED, FORKED, FAILED, NOTICE = ord('C'), ord('K'), ord('N'), ord('W')

SUCCESS, FAILURE, RETRY, IGNORED, REJECTED, REJECTED_AGAIN = range(1, 7)
UNDECODABLE, INVALID, EXITED, OUT_OF_MEMORY = range(7, 11)

HEADER = struct.Struct('!IBQ')
U32 = struct.Struct('!I')
#: Header and the fixed part of a Done frame without any text, in one piece.
DONE_BARE = struct.Struct('!IBQBdII')

MAX_FRAME = 64 << 20
PAGE_SIZE = 4096

#: What a Done frame may carry: together less than one packet can hold.
MAX_EXCEPTION, MAX_TRACEBACK, MAX_RESULT = 8 << 10, 64 << 10, 16 << 10


class Broken(Exception):
    """The other side speaks nonsense."""


def pack(kind, seq, payload=b''):
    return HEADER.pack(9 + len(payload), kind, seq) + payload


def pack_json(kind, seq, value):
    return pack(kind, seq, json.dumps(value).encode())


def pack_done(seq, outcome, runtime, exception='', traceback='', result=''):
    if not (exception or traceback or result):
        return DONE_BARE.pack(26, DONE, seq, outcome, runtime, 0, 0)
    exception = clip(exception, MAX_EXCEPTION)
    traceback = clip(traceback, MAX_TRACEBACK)
    result = clip(result, MAX_RESULT)
    return pack(DONE, seq, b''.join((
        struct.pack('!BdI', outcome, runtime, len(exception)), exception,
        U32.pack(len(traceback)), traceback, result)))


def clip(text, limit):
    """Text as at most limit bytes of UTF-8: a quarter of its head, then its end,
    where a traceback says what happened."""
    data = text.encode('utf-8', 'backslashreplace')
    if len(data) <= limit:
        return data
    head, gap = limit // 4, b'\n[...]\n'
    tail = limit - head - len(gap)
    kept = data[:head].decode('utf-8', 'ignore').encode() + gap
    return kept + data[-tail:].decode('utf-8', 'ignore').encode()


#: Content type and encoding of nearly every task, as they stand in a frame.
USUAL = b'\x10application/json\x05utf-8'


def split_task(view, start, end):
    """The parts of a Task payload in view[start:end]: request, content type and encoding
    as text, and where the body begins."""
    (length,) = U32.unpack_from(view, start)
    at = start + 4 + length
    if at >= end:
        raise Broken('request reaches beyond the frame')
    request = str(view[start + 4:at], 'utf-8')
    if view[at:at + 23] == USUAL and at + 23 <= end:
        return request, 'application/json', 'utf-8', at + 23
    content_type, at = _short_text(view, at, end)
    encoding, at = _short_text(view, at, end)
    return request, content_type, encoding, at


def _short_text(view, at, end):
    if at >= end:
        raise Broken('text reaches beyond the frame')
    until = at + 1 + view[at]
    if until > end:
        raise Broken('text reaches beyond the frame')
    return str(view[at + 1:until], 'utf-8'), until


def large_payload(view, start, end):
    """Kind and payload of a Large frame. The supervisor owns the file."""
    with open(os.fsdecode(bytes(view[start + 1:end])), 'rb') as file:
        return view[start], memoryview(file.read())


def read_frame(sock, max_fds=0):
    """One frame from a stream: (kind, seq, payload, fds), or None at its end."""
    fds = []
    header = _read(sock, HEADER.size, fds, max_fds)
    if header is None:
        return None
    length, kind, seq = HEADER.unpack(header)
    if not 9 <= length <= MAX_FRAME:
        raise Broken(f'frame of {length} bytes')
    payload = _read(sock, length - 9, fds, max_fds)
    if payload is None:
        raise Broken('the stream ends within a frame')
    return kind, seq, bytes(payload), fds


def _read(sock, size, fds, max_fds):
    data = bytearray(size)
    view, have = memoryview(data), 0
    while have < size:
        if max_fds:
            chunk, new, _, _ = socket.recv_fds(sock, size - have, max_fds)
            fds.extend(new)
            view[have:have + len(chunk)] = chunk
            count = len(chunk)
        else:
            count = sock.recv_into(view[have:])
        if not count:
            if have:
                raise Broken('the stream ends within a frame')
            return None
        have += count
    return data
