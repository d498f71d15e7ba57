"""The frames of supervisor/wire/testdata, read and written by the Python side."""
import json
import os
import pathlib
import socket
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from crisper_agent import wire  # noqa: E402

GOLDEN = HERE.parents[2] / 'wire' / 'testdata'


def golden():
    for entry in json.loads((GOLDEN / 'golden.json').read_text('utf-8')):
        yield entry, bytes.fromhex((GOLDEN / f'{entry["name"]}.hex').read_text())


def payload_of(frame):
    return memoryview(frame)[wire.HEADER.size:]


class GoldenFrames(unittest.TestCase):
    def test_every_frame_has_the_kind_and_seq_that_is_told(self):
        for entry, frame in golden():
            with self.subTest(entry['name']):
                length, kind, seq = wire.HEADER.unpack_from(frame)
                self.assertEqual((length + 4, chr(kind), seq), (len(frame), entry['kind'], entry['seq']))

    def test_json_frames_are_understood(self):
        for entry, frame in golden():
            if 'json' in entry:
                with self.subTest(entry['name']):
                    self.assertEqual(json.loads(bytes(payload_of(frame))), entry['json'])

    def test_done_frames_are_written_byte_for_byte(self):
        for entry, frame in golden():
            if 'done' in entry:
                with self.subTest(entry['name']):
                    done = entry['done']
                    self.assertEqual(wire.pack_done(
                        entry['seq'], done['outcome'], done['runtime'], done['exception'],
                        done['traceback'], done['result']), frame)

    def test_begun_is_written_byte_for_byte(self):
        frame = dict((entry['name'], frame) for entry, frame in golden())['begun']
        self.assertEqual(wire.pack(wire.BEGUN, 1), frame)

    def test_tasks_are_taken_apart(self):
        for entry, frame in golden():
            if 'task' in entry:
                with self.subTest(entry['name']):
                    task, view = entry['task'], memoryview(frame)
                    request, content_type, encoding, at = wire.split_task(view, 13, len(frame))
                    self.assertEqual(json.loads(request), task['request'])
                    self.assertEqual((content_type, encoding), (task['content_type'], task['content_encoding']))
                    self.assertEqual(bytes(view[at:]), bytes.fromhex(task['body_hex']))

    def test_a_large_frame_names_its_file(self):
        entry, frame = next((e, f) for e, f in golden() if 'large' in e)
        self.assertEqual(chr(payload_of(frame)[0]), entry['large']['kind'])
        with tempfile.NamedTemporaryFile() as file:
            file.write(b'payload')
            file.flush()
            frame = wire.pack(wire.LARGE, 1, b'T' + os.fsencode(file.name))
            kind, payload = wire.large_payload(memoryview(frame), 13, len(frame))
        self.assertEqual((kind, bytes(payload)), (wire.TASK, b'payload'))


class BrokenFrames(unittest.TestCase):
    def test_no_prefix_of_a_task_is_taken_for_one_with_another_request(self):
        frame = next(frame for entry, frame in golden() if entry['name'] == 'task')
        whole = wire.split_task(memoryview(frame), 13, len(frame))
        for end in range(13, len(frame)):
            try:
                got = wire.split_task(memoryview(frame[:end]), 13, end)
            except (wire.Broken, wire.struct.error):
                continue
            self.assertEqual(got[:3], whole[:3])

    def test_noise_is_refused_or_read_within_its_bounds(self):
        noise = os.urandom(4096)
        for size in range(0, 4096, 7):
            try:
                *_, at = wire.split_task(memoryview(noise), 0, size)
            except (ValueError, wire.Broken, wire.struct.error):
                continue
            self.assertLessEqual(at, size)

    def test_a_stream_that_ends_within_a_frame_is_broken(self):
        for cut in (1, 12, 13, 20):
            ours, theirs = socket.socketpair()
            with ours, theirs:
                theirs.sendall(wire.pack_json(wire.OPTIONS, 0, {'app': 'proj'})[:cut])
                theirs.shutdown(socket.SHUT_WR)
                with self.assertRaises(wire.Broken):
                    wire.read_frame(ours)

    def test_a_length_out_of_bounds_is_broken(self):
        for length in (0, 8, wire.MAX_FRAME + 1, 0xffffffff):
            ours, theirs = socket.socketpair()
            with ours, theirs:
                theirs.sendall(wire.HEADER.pack(length, wire.FORK, 0))
                with self.assertRaises(wire.Broken):
                    wire.read_frame(ours)


class Streams(unittest.TestCase):
    def test_frames_and_their_descriptors_arrive_together(self):
        ours, theirs = socket.socketpair()
        with ours, theirs, tempfile.TemporaryFile() as file:
            for n in range(2):
                frame = wire.pack_json(wire.FORK, n, {'child': n})
                socket.send_fds(theirs, [frame], [file.fileno(), theirs.fileno()])
            theirs.shutdown(socket.SHUT_WR)
            for n in range(2):
                kind, seq, payload, fds = wire.read_frame(ours, max_fds=2)
                self.assertEqual((kind, seq, json.loads(payload), len(fds)), (wire.FORK, n, {'child': n}, 2))
                for fd in fds:
                    os.close(fd)
            self.assertIsNone(wire.read_frame(ours, max_fds=2))


class Texts(unittest.TestCase):
    def test_long_texts_keep_their_head_and_their_end(self):
        for letter in ('x', 'ü', '\U0001f980'):
            text = 'head ' + letter * 100_000 + ' end'
            got = wire.clip(text, 4096)
            self.assertLessEqual(len(got), 4096)
            self.assertTrue(got.decode().startswith('head ') and got.decode().endswith(' end'))

    def test_texts_that_are_no_unicode_still_go_through(self):
        self.assertEqual(wire.clip('a\udcffb', 100), b'a\\udcffb')

    def test_the_longest_report_fits_into_a_packet(self):
        frame = wire.pack_done(1, wire.FAILURE, 1.0, 'e' * 10**6, 't' * 10**6, 'r' * 10**6)
        self.assertLess(len(frame), 96 << 10)


if __name__ == '__main__':
    unittest.main()
