"""What is wrapped: a wrapper tells, and then calls what it wraps, which gets the same
arguments; its result or exception is passed on.

A task costs Celery's main process a millisecond. What is done here for each runs on
caches that hold something else every time, so that it is the number of steps that costs,
more than what they do: little is called, and what may wait is told with the next fact.
"""
from time import time

from crisper_inject import mail, quick, ring, telling
from crisper_inject.ring import BOOKED, ENDED, SETTLED, TAKEN
from crisper_inject.telling import put, settled, tell

QUICK = 0.2  # seconds that booking may take without its end's being told (supervisor/celery/held)

_followed = ()  # the channels whose deliveries are told of one by one
_acks = set()  # classes of messages whose acknowledgment is told of


def deliveries(transport):
    """A delivery is told before Redis is told that it is in hand, and let go of after
    Redis was told: what dies in between is looked for in vain, never overlooked. That is
    why the latter may wait a little. Where Redis could not be told, it is still in hand
    (anew)."""
    global _followed
    _followed = transport.Channel
    qos = transport.QoS
    append_, ack_, reject_, restore_by_tag_ = qos.append, qos.ack, qos.reject, qos.restore_by_tag
    written = [None], ""  # the last list that kombu wrote for Redis, and its JSON

    def append(self, message, delivery_tag, *args, **kwargs):
        begun = time()
        tell(TAKEN, delivery_tag)
        try:
            return append_(self, message, delivery_tag, *args, **kwargs)
        finally:
            if time() - begun > QUICK:
                tell(BOOKED, delivery_tag)
            try:
                if written[0][0] is message._raw:
                    message.crisper_text = written[1]
            except Exception:  # no message of kombu's: it is packed if it needs to be
                pass

    def ack(self, delivery_tag, *args, **kwargs):
        result = ack_(self, delivery_tag, *args, **kwargs)
        settled(delivery_tag)
        if telling.prompt:
            telling.hurry()
        return result

    def reject(self, delivery_tag, *args, **kwargs):
        result = reject_(self, delivery_tag, *args, **kwargs)
        settled(delivery_tag)
        return result

    def restore_by_tag(self, tag, *args, **kwargs):
        result = restore_by_tag_(self, tag, *args, **kwargs)
        tell(SETTLED, tag)
        return result

    dumps_, loads_ = getattr(transport, "dumps", None), getattr(transport, "loads", None)
    encode = quick.encoder(dumps_)

    def dumps(value, *args, **kwargs):
        """Of each delivery kombu writes what is kept while it is in hand, and that has the
        whole message: to pack it anew would be a third of what is done here for a task."""
        nonlocal written
        if type(value) is not list or not value or args or kwargs:
            return dumps_(value, *args, **kwargs)
        text = encode(value)
        if type(text) is str:
            written = value, text
        return text

    replace(qos, append, ack, reject, restore_by_tag)
    if dumps_ is not None and loads_ is not None:
        replace(transport, dumps)
        transport.loads = quick.decoder(loads_)


def acks(message_class):
    """With other transports nobody but the broker looks after what is in hand, and a task
    that is acknowledged early is in hand from its beginning until the broker was told so:
    that waits for the worker's loop, which under the solo pool is when the task has ended."""
    ack_ = getattr(message_class, "ack", None)
    if ack_ is None or message_class in _acks:
        return
    _acks.add(message_class)

    def ack(self, *args, **kwargs):
        result = ack_(self, *args, **kwargs)
        if not isinstance(self.channel, _followed):
            tell(SETTLED, self.delivery_tag)
        return result

    replace(message_class, ack)


# Transports that forget a message when they have given it away.
FORGETFUL = ("filesystem", "memory", "mongodb", "sqlalchemy", "pyro", "zookeeper", "consul", "etcd")
_back = {}  # by class of channel


def comes_back(message):
    """Is it delivered again, if it is not acknowledged, when its worker is gone, by somebody
    who need not be told that it is in hand?"""
    channel = type(getattr(message, "channel", None))
    back = _back.get(channel)
    if back is None:
        name = channel.__module__.split(".")
        forgets = name[:2] == ["kombu", "transport"] and len(name) > 2 and name[2] in FORGETFUL
        back = _back[channel] = not forgets and not issubclass(channel, _followed)
        if back:
            acks(type(message))
    return back


def tasks(state):
    task_accepted_, task_ready_ = state.task_accepted, state.task_ready

    def task_accepted(request, *args, **kwargs):
        accepted(request)
        return task_accepted_(request, *args, **kwargs)

    def task_ready(request, *args, **kwargs):
        try:
            return task_ready_(request, *args, **kwargs)
        finally:
            if kwargs.get("successful") or not getattr(request, CUT, False):
                tell(ENDED, request.id)

    replace(state, task_accepted, task_ready)


def accepted(request):
    """A task begins. If nobody will deliver its message again, that is told with it: whoever
    has to say what became of the task needs it."""
    if telling._sock is None:
        return
    try:
        message, record = request.message, None
        text = getattr(message, "crisper_text", None)
        if text is not None and not request.task.acks_late and telling.room():
            record = ring.begun(message.delivery_tag, request.id, request.name, mail.JSON + text.encode("utf-8", "replace"))
        if record is None:
            record = begun(request, message)
        put(record)
    except Exception as exc:
        telling.off(exc)


def begun(request, message):
    """What is told of any task."""
    tag, late = getattr(message, "delivery_tag", None), request.task.acks_late
    record = ring.task(tag, request.id, request.name, 1 if late else 0)
    if late:
        return record
    if tag is not None and comes_back(message):
        record = ring.one(TAKEN, tag) + record
    text = mail.text(message) if telling.room() else None
    if text is None:
        return record
    for part in ring.message(request.id, text):
        put(record)
        record = part
    return record


CUT = "crisper_cut"  # an attribute of requests


def cuts(module):
    """Celery's cold shutdown ends a task that was acknowledged early and calls it retried,
    though nothing will retry it. That is no end: it goes with its worker."""
    request_class = module.Request
    announce = getattr(request_class, "_announce_cancelled", None)
    if announce is None:
        return

    def _announce_cancelled(self, *args, **kwargs):
        if not self.task.acks_late:
            setattr(self, CUT, True)
        return announce(self, *args, **kwargs)

    replace(request_class, _announce_cancelled)


def replace(owner, *functions):
    """In the place of those that have the same names."""
    for function in functions:
        inner = getattr(owner, function.__name__)
        function.__doc__, function.__wrapped__ = inner.__doc__, inner
        setattr(owner, function.__name__, function)


