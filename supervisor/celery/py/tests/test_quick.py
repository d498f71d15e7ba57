"""Kombu's JSON and the quick one, beside each other."""
import datetime
import decimal
import json
import math
import unittest
import uuid

from crisper_inject import quick

try:
    from kombu.transport import redis as transport
    from kombu.utils import json as kombu_json
except ImportError:
    kombu_json = None


class Own:
    def __json__(self):
        return {"own": 1}


def circle():
    loop = []
    loop.append(loop)
    return loop


RAW = {
    "body": "W1tdLCB7fSwge31d",
    "headers": {"id": "0a4b", "eta": None, "retries": 0, "timelimit": [None, 1.5], "stamps": {}},
    "properties": {"delivery_info": {"exchange": "", "routing_key": "ü"}, "body_encoding": "base64", "priority": 0},
}
VALUES = [
    [RAW, "", "celery"],
    [],
    [math.nan, -math.inf, 10**40, 1e-320, True],
    [datetime.datetime(2026, 1, 2, 3, 4, 5, 6), datetime.date(2026, 1, 2), decimal.Decimal("1.50"), uuid.UUID(int=7), b"bytes", b"\xff"],
    [Own(), ("tuple",), {1: 2, None: 3}, "\ud800 \u2028 \x00"],
    [object()],
    [{(1, 2): 3}],
    circle(),
]
TEXTS = ['{"a": [1, 2.5, null, "\\u00fc\\ud83d"]}', "NaN", "", "[", "\ufeff[]", b'{"b": 1}', bytearray(b"[1]"), memoryview(b"[2]"), "[1] x", b"\xff"]


def outcome(function, value):
    try:
        return repr(function(value))
    except Exception as exc:
        return type(exc)


@unittest.skipIf(kombu_json is None, "kombu is not installed")
class QuickTest(unittest.TestCase):
    def test_it_is_used_and_answers_as_kombu_does(self):
        encode, decode = quick.encoder(kombu_json.dumps), quick.decoder(kombu_json.loads)
        self.assertIsNot(encode, kombu_json.dumps)
        self.assertIsNot(decode, kombu_json.loads)
        for value in VALUES * 2:  # an error leaves nothing behind
            self.assertEqual(outcome(encode, value), outcome(kombu_json.dumps, value))
        whole = [kombu_json.dumps(v) for v in VALUES[:4]]
        for text in (TEXTS + whole) * 2:
            self.assertEqual(outcome(decode, text), outcome(kombu_json.loads, text), text)
        self.assertEqual(decode(b"[1]", decode_bytes=True), [1])

    def test_what_somebody_has_put_there_stays(self):
        for other in (json.dumps, len, lambda s: s, None):
            self.assertIs(quick.encoder(other), other)
            self.assertIs(quick.decoder(other), other)
        self.assertIs(quick.encoder(kombu_json.loads), kombu_json.loads)
        self.assertIs(quick.decoder(kombu_json.dumps), kombu_json.dumps)

    def test_the_redis_transport_uses_them_as_we_think(self):
        self.assertIs(transport.dumps, kombu_json.dumps)
        self.assertIs(transport.loads, kombu_json.loads)


if __name__ == "__main__":
    unittest.main()
