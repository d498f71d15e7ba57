"""The ring and the agent's way of writing into it. The bytes are those that the
supervisor's tests read (supervisor/celery/held/testdata)."""
import datetime
import decimal
import json
import marshal
import os
import pathlib
import socket
import struct
import tempfile
import threading
import unittest

from crisper_inject import follow, mail, ring, telling

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "held" / "testdata" / "records.json"
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


class RecordTest(unittest.TestCase):
    def test_records_are_the_golden_ones(self):
        for g in json.loads(GOLDEN.read_text()):
            if g["kind"] == "a":
                got = ring.task(g["tag"] or None, g["id"], g["task"], 1 if g["late"] else 0, g["at"])
            elif g["kind"] == "m":
                (got,) = ring.message(g["id"], bytes.fromhex(g["text"]), g["at"])
            else:
                got = ring.one(ord(g["kind"]), g["id"] if g["kind"] == "e" else g["tag"], g["at"])
            self.assertEqual(got.hex(), g["hex"], g["name"])

    def test_a_large_message_comes_in_parts(self):
        text = os.urandom(2 * ring.PART + 7)
        parts = list(ring.message("id", text, 1.0))
        head = struct.Struct("<HBdBH")
        for part, size, more in zip(parts, (ring.PART, ring.PART, 7), (1, 1, 0)):
            self.assertEqual(head.unpack_from(part), (12 + 2 + size, ord("m"), 1.0, more, 2))
        self.assertEqual(b"".join(p[head.size + 2 :] for p in parts), text)
        self.assertEqual(len(parts), 3)

    def test_fields_may_be_anything(self):
        for value, want in ((None, b""), (7, b"7"), (b"\xff", b"\xff"), ("\ud800x", b"?x"), (["a"], b"['a']"), ("ü" * 300, "ü".encode() * 256)):
            self.assertEqual(ring.octets(value), want)


class RingTest(unittest.TestCase):
    def test_it_goes_round_and_stops_when_it_is_full(self):
        file, fd = shared(4096)
        r = ring.Ring(fd)
        for turn in range(500):
            text = b"%03d" % turn * 20
            self.assertTrue(r.write(text))
            head = word(file, 0)
            data = os.pread(file.fileno(), 4096, ring.HEADER)
            self.assertEqual(bytes(data[p % 4096] for p in range(head - 60, head)), text)
            os.pwrite(file.fileno(), struct.pack("<Q", head), 64)
        self.assertTrue(r.write(b"x" * 4096))
        self.assertFalse(r.write(b"x"))
        self.assertEqual(word(file, 0), 500 * 60 + 4096)
        r.close()
        file.close()

    def test_the_descriptor_that_is_left_is_not_inherited(self):
        before = set(os.listdir("/dev/fd"))
        file, fd = shared()
        r = ring.Ring(fd)
        for name in set(os.listdir("/dev/fd")) - before:
            try:
                self.assertFalse(os.get_inheritable(int(name)))
            except OSError:
                pass  # that of the listing
        r.close()
        with self.assertRaises(OSError):
            os.fstat(fd)
        file.close()


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


class MessageTest(Agent):
    """What is written of a task that begins."""

    def kinds(self):
        return [kind for kind, _ in records(self.file)]

    def test_the_message_is_told_where_nobody_will_deliver_it_again(self):
        follow.accepted(Request(late=True))
        self.assertEqual(self.kinds(), ["a"])
        follow.accepted(Request(late=False))
        self.assertEqual(self.kinds(), ["a", "t", "a", "m"])

    def test_an_early_one_is_in_hand_until_the_broker_was_told(self):
        class Ours(Message):
            def ack(self, multiple=False):
                if multiple:
                    raise OSError("the connection is gone")

        def begin(channel=None):
            request = Request(late=False)
            request.message = Ours()
            request.message.channel = channel
            follow.accepted(request)
            return request.message

        Ours().ack()  # of what nobody has seen begin
        message = begin()
        self.assertRaises(OSError, message.ack, multiple=True)
        self.assertEqual(self.kinds(), ["t", "a", "m"])
        message.ack()
        begin().ack()
        self.assertEqual(self.kinds(), ["t", "a", "m", "s"] * 2)
        self.assertEqual(records(self.file)[3], ("s", "tag"))

        class Followed:
            pass

        follow._followed = Followed
        self.addCleanup(setattr, follow, "_followed", ())
        begin(Followed()).ack()
        self.assertEqual(self.kinds()[8:], ["a", "m"])

    def test_what_a_transport_forgets_is_in_nobodys_hands(self):
        def message(module):
            m = Message()
            m.channel = type("Channel", (), {"__module__": module})()
            return m

        for name in ("kombu.transport.filesystem", "kombu.transport.sqlalchemy", "kombu.transport.sqlalchemy.models"):
            self.assertFalse(follow.comes_back(message(name)), name)
        for name in ("kombu.transport.pyamqp", "kombu.transport.SQS", "filesystem.of.theirs"):
            self.assertTrue(follow.comes_back(message(name)), name)

    def test_what_kombu_wrote_is_told_and_only_of_this_message(self):
        class Raw(Message):
            def __init__(self, body="b"):
                super().__init__(body.encode())
                self._raw = {"body": body}

        class Transport:
            Channel = ()

            class QoS:
                ack = reject = restore_by_tag = None

                def append(self, message, delivery_tag, write):
                    write()

            loads = json.loads

            @staticmethod
            def dumps(value, **kwargs):
                return json.dumps(value, **kwargs)

        def told(message, *values):
            Transport.QoS().append(message, "tag", lambda: [Transport.dumps(v) for v in values])
            return mail.text(message)

        follow.deliveries(Transport)
        self.addCleanup(setattr, follow, "_followed", ())
        message, other = Raw(), Raw()
        self.assertEqual(told(message, [message._raw, "", "q"], {"a": 1}), mail.JSON + b'[{"body": "b"}, "", "q"]')
        self.assertEqual(told(other, [message._raw, "", "q"])[:1], mail.MARSHAL)  # equal, and another
        self.assertEqual(told(other, [])[:1], mail.MARSHAL)
        large = Raw("x" * (mail.LARGEST - 10))
        self.assertIsNone(told(large, [large._raw, "", "q"]))
        Transport.QoS().append("no message of kombu's", "tag", bool)

    def test_one_step_writes_what_many_do(self):
        request = Request(late=False)
        request.message.channel = type("Channel", (), {"__module__": "kombu.transport.filesystem"})()
        follow.accepted(request)
        many = records(self.file)[-2:]
        request.message.crisper_text = "text"
        for request.id in ("id", "ü" * 600, None, 7, "i" * 600):
            follow.accepted(request)
        self.assertEqual([kind for kind, _ in many], ["a", "m"])
        self.assertEqual(self.kinds(), ["a", "m"] * 6)
        self.assertIsNotNone(telling._sock)

    def test_what_is_packed_is_what_there_was(self):
        m = Message(memoryview(b"body"))
        want = [m.headers, m.properties, m.delivery_info, m.content_type, m.content_encoding, b"body"]
        self.assertEqual(marshal.loads(mail.packed(m)[1:]), want)

    def test_what_marshal_does_not_know_is_told_as_text(self):
        m = Message()
        m.headers = {"when": datetime.date(2024, 1, 2), "x": [decimal.Decimal("1.5"), (None, True, b"b")], Odd: bytearray(b"c")}
        headers = marshal.loads(mail.packed(m)[1:])[0]
        self.assertEqual(headers, {"when": "2024-01-02", "x": ["1.5", [None, True, b"b"]], str(Odd): b"c"})

    def test_what_is_too_large_is_left_out_and_the_task_is_told(self):
        follow.accepted(Request(False, b"x" * (mail.LARGEST + 1)))
        follow.accepted(Request(False, b"x" * (mail.LARGEST - 10)))  # with what belongs to it
        self.assertEqual(self.kinds(), ["t", "a", "t", "a"])
        self.assertIsNotNone(telling._sock)

    def test_messages_are_left_out_while_much_waits(self):
        while not telling._facts:
            follow.accepted(Request(False))
        for _ in range(2 * telling.BEHIND):
            follow.accepted(Request(False))
        waiting = [fact for facts in telling._facts for fact in split(facts)]
        self.assertLessEqual([kind for kind, _ in waiting].count("m"), telling.BEHIND)
        self.assertGreater([kind for kind, _ in waiting].count("a"), telling.BEHIND)


class CutTest(Agent):
    """Celery's cold shutdown: _announce_cancelled calls task_ready, and so does what follows."""

    def setUp(self):
        super().setUp()

        class State:
            task_accepted, task_ready = staticmethod(lambda request: None), staticmethod(lambda request, successful=False: None)

        class Module:
            class Request(Request):
                def _announce_cancelled(self, emit_retry=True):
                    State.task_ready(self)
                    return emit_retry

        follow.tasks(State)
        follow.cuts(Module)
        self.state, self.module = State, Module

    def test_an_early_task_that_is_cut_off_has_not_ended(self):
        request = self.module.Request(late=False)
        self.assertEqual(request._announce_cancelled(emit_retry=7), 7)
        self.state.task_ready(request)  # its process has died
        self.assertEqual(records(self.file), [])
        self.state.task_ready(request, successful=True)  # or it was quicker
        self.assertEqual(records(self.file), [("e", "id")])

    def test_a_late_one_has_and_so_has_what_was_not_cut_off(self):
        self.module.Request(late=True)._announce_cancelled()
        self.state.task_ready(self.module.Request(late=False))
        self.assertEqual(records(self.file), [("e", "id"), ("e", "id")])

    def test_a_celery_that_cancels_nothing_is_left_as_it_is(self):
        class Old:
            class Request:
                pass

        follow.cuts(Old)
        self.assertFalse(hasattr(Old.Request, "_announce_cancelled"))


class TellTest(Agent):
    def test_a_fact_is_written_and_no_call_of_the_kernel_tells_of_it(self):
        telling.tell(ring.TAKEN, "tag")
        telling.tell(ring.SETTLED, b"tag")
        self.assertEqual(records(self.file), [("t", "tag"), ("s", "tag")])
        self.theirs.setblocking(False)
        self.assertRaises(BlockingIOError, self.theirs.recv, 1)

    def test_a_line_says_up_to_where_may_be_read(self):
        telling.tell(ring.TAKEN, "tag")
        telling.say({"said": "leaving"})
        self.assertEqual(self.lines(), [{"said": "leaving", "upto": word(self.file, 0)}])

    def test_half_a_ring_is_told_of_at_once(self):
        while word(self.file, 0) <= SIZE // 2:
            telling.tell(ring.TAKEN, "t" * 500)
        self.assertEqual(self.lines(), [{"said": "told", "upto": word(self.file, 0)}])

    def test_what_has_no_room_waits_and_is_written_in_order(self):
        sent = ["%d" % n + "x" * 400 for n in range(2000)]
        for tag in sent:
            telling.tell(ring.TAKEN, tag)
        self.assertGreater(len(telling._facts), 0)
        got = []
        while telling._facts:
            got += records(self.file)
            os.pwrite(self.file.fileno(), struct.pack("<Q", word(self.file, 0)), 64)
            telling.flush()
        self.assertEqual([tag for _, tag in got + records(self.file)], sent)

    def test_too_much_that_waits_ends_it(self):
        for _ in range(telling.MOST_FACTS + SIZE // 400):
            telling.tell(ring.TAKEN, "x" * 500)
        self.assertIsNone(telling._sock)
        self.assertEqual(len(telling._facts), 0)

    def test_what_cannot_be_told_ends_it_and_is_never_raised(self):
        telling.tell(ring.TAKEN, "told")
        telling.tell(ring.TAKEN, Odd())
        self.assertIsNone(telling._sock)
        off = self.lines()[0]
        self.assertEqual((off["said"], off["upto"]), ("off", word(self.file, 0)))
        telling.tell(ring.TAKEN, "more")
        follow.accepted(None)
        self.assertEqual(records(self.file), [("t", "told")])

    def test_many_threads_write_whole_records(self):
        def run(name):
            for n in range(400):
                telling.tell(ring.TAKEN, "%s-%d" % (name, n))

        threads = [threading.Thread(target=run, args=(name,)) for name in "abcd"]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        telling.flush()
        tags = [tag for _, tag in records(self.file)]
        for name in "abcd":
            self.assertEqual([t for t in tags if t[0] == name], ["%s-%d" % (name, n) for n in range(400)])

    def test_a_handler_that_tells_in_the_midst_of_it_waits_for_nothing(self):
        memory = telling._ring._data

        class Interrupted:
            def __setitem__(self, at, record):
                telling._ring._data = memory
                telling.tell(ring.TAKEN, "inner")
                memory[at] = record

        telling._ring._data = Interrupted()
        telling.tell(ring.TAKEN, "outer")
        self.assertEqual(records(self.file), [("t", "outer"), ("t", "inner")])

    def test_a_forked_process_is_silent_and_has_nothing_open(self):
        os.register_at_fork(after_in_child=telling.silence)
        pid = os.fork()
        if pid == 0:
            telling.tell(ring.TAKEN, "child")
            quiet = telling._sock is None and telling._ring is None and self.ours.fileno() == -1
            os._exit(0 if quiet else 1)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        telling.tell(ring.TAKEN, "parent")
        self.assertEqual(records(self.file), [("t", "parent")])


class FollowTest(Agent):
    """What is wrapped gets what it was given, and its result or exception is passed on.
    What Redis could not be told is not let go of."""

    def test_deliveries(self):
        calls = []

        class QoS:
            def append(self, message, delivery_tag):
                """doc"""
                calls.append((message, delivery_tag))
                return "appended"

            def ack(self, delivery_tag):
                raise KeyError(delivery_tag)

            def reject(self, delivery_tag, requeue=False):
                self.restore_by_tag(delivery_tag, leftmost=requeue)

            def restore_by_tag(self, tag, client=None, leftmost=False):
                calls.append((tag, leftmost))

        class Transport:
            Channel = ()

        Transport.QoS = QoS
        follow.deliveries(Transport)
        self.assertEqual((QoS().append("m", "1"), QoS.append.__doc__), ("appended", "doc"))
        self.assertRaises(KeyError, QoS().ack, "2")
        QoS().reject("3", requeue=True)
        QoS().restore_by_tag(b"4", None, True)
        self.assertEqual(calls, [("m", "1"), ("3", True), (b"4", True)])
        self.assertEqual(records(self.file), [("t", "1"), ("s", "3"), ("s", "3"), ("s", "4")])

    def test_what_is_settled_is_told_with_the_next_fact_and_with_what_is_said(self):
        telling.tell(ring.TAKEN, "1")
        telling.settled("1")
        self.assertEqual(records(self.file), [("t", "1")])
        self.assertTrue(telling.untold())
        telling.tell(ring.ENDED, "id")
        told = [("t", "1"), ("s", "1"), ("e", "id")]
        self.assertEqual(records(self.file), told)
        telling.settled("2")
        telling.say({"said": "anew"})
        self.assertEqual(records(self.file), told + [("s", "2")])
        self.assertEqual(self.lines(), [{"said": "anew", "upto": word(self.file, 0)}])
        self.assertFalse(telling.untold())

    def test_what_is_settled_comes_before_what_has_no_room(self):
        while not telling._facts:
            telling.tell(ring.TAKEN, "x" * 400)
        telling.settled("1")
        telling.tell(ring.TAKEN, "2")
        telling.settled("2")
        os.pwrite(self.file.fileno(), struct.pack("<Q", word(self.file, 0)), 64)
        telling.flush()
        self.assertEqual(records(self.file)[1:], [("s", "1"), ("t", "2"), ("s", "2")])
        self.assertFalse(telling._facts or telling._settled)

    def test_too_much_that_is_settled_and_not_told_ends_it(self):
        for n in range(telling._settled.maxlen):
            telling.settled(n)
        telling.tell(ring.TAKEN, "1")
        self.assertIsNone(telling._sock)
        self.assertEqual(records(self.file), [])

    def test_a_booking_that_takes_long_is_told(self):
        class Transport:
            Channel = ()

            class QoS:
                ack = reject = restore_by_tag = None

                def append(self, message, delivery_tag):
                    clock[0] += 1

        clock = [5.0]
        self.addCleanup(setattr, follow, "time", follow.time)
        follow.time = lambda: clock[0]
        follow.deliveries(Transport)
        self.addCleanup(setattr, follow, "_followed", ())
        Transport.QoS().append("m", "1")
        self.assertEqual(records(self.file), [("t", "1"), ("k", "1")])


if __name__ == "__main__":
    unittest.main()
