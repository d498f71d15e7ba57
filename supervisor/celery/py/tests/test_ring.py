"""The ring and the agent's way of writing into it. The bytes are those that the
supervisor's tests read (supervisor/celery/held/testdata)."""
import json
import os
import pathlib
import struct
import threading
import unittest

from crisper_inject import follow, ring, telling

from .stage import SIZE, Agent, Odd, records, shared, word

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "held" / "testdata" / "records.json"


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


if __name__ == "__main__":
    unittest.main()
