"""What the agent wraps, and what it tells of a task and its message."""
import datetime
import decimal
import json
import marshal
import pathlib
import unittest

from crisper_inject import follow, mail, telling

from .stage import Agent, Message, Odd, Request, records, split


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

    def test_where_tasks_hold_up_the_loop_it_is_told_at_once_that_a_delivery_is_settled(self):
        class Transport:
            Channel = ()

            class QoS:
                append = reject = restore_by_tag = None

                def ack(self, delivery_tag):
                    pass

        follow.deliveries(Transport)
        self.addCleanup(setattr, follow, "_followed", ())
        self.addCleanup(setattr, telling, "prompt", False)
        Transport.QoS().ack("1")
        self.assertEqual(records(self.file), [])
        telling.prompt = True
        Transport.QoS().ack("2")
        self.assertEqual(records(self.file), [("s", "1"), ("s", "2")])

    def test_both_sides_agree_how_long_a_booking_takes_that_is_not_told(self):
        held = (pathlib.Path(__file__).resolve().parents[2] / "held" / "held.go").read_text()
        self.assertIn("\nconst quick = %r\n" % follow.QUICK, held)

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
