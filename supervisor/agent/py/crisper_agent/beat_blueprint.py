"""Messages as texts with marks: the blueprints of beat/message/doc.go."""
import base64
import datetime
import json
import re

SUB = '\x1a'
ID, TAG, INNER = (f'{SUB}{letter}{SUB}' for letter in 'ITB')

#: What datetime.isoformat writes.
MOMENT = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?(?:[+-]\d\d:\d\d(?::\d\d)?)?')

#: The properties that py-amqp sends (amqp/basic_message.py) but for the headers.
PROPERTIES = ('content_type', 'content_encoding', 'delivery_mode', 'priority', 'correlation_id',
              'reply_to', 'expiration', 'message_id', 'timestamp', 'type', 'user_id', 'app_id',
              'cluster_id')


class Unfit(Exception):
    """The message cannot be a blueprint; its text says why."""


class Sentinel:
    """Values that are found again in a message: an id, a tag and a moment."""

    def __init__(self, task_id, tag, now):
        self.task_id, self.tag, self.now = task_id, tag, now


class Clock:
    """How this Celery counts moments, and what the zone is called."""

    def __init__(self, app):
        from celery.app import amqp
        self.zone = zone_name(app.timezone)
        # Celery: add_seconds_to_datetime came with elapsed time; before, a timedelta was
        # added to the local time (app/amqp.py, as_task_v2).
        self.wall = not hasattr(amqp, 'add_seconds_to_datetime')

    def between(self, now, then):
        """Microseconds from now to then."""
        if self.wall:
            now, then = now.replace(tzinfo=None), then.replace(tzinfo=None)
        else:
            now, then = (moment.astimezone(datetime.timezone.utc) for moment in (now, then))
        return (then - now) // datetime.timedelta(microseconds=1)

    def after(self, now, delay):
        """The moment that many microseconds after now, as Celery writes it."""
        delay = datetime.timedelta(microseconds=delay)
        if self.wall:
            return (now + delay).isoformat()
        return (now.astimezone(datetime.timezone.utc) + delay).astimezone(now.tzinfo).isoformat()


def zone_name(zone):
    """The zone's IANA name, or '': a custom tzinfo, or a file without a name."""
    if zone is datetime.timezone.utc:
        return 'UTC'
    name = getattr(zone, 'key', None)
    return name if isinstance(name, str) and name.lower() != 'local' else ''


def delays(first, a, second, b, clock):
    """The moments in first, made for sentinel a, that are as far from now in second."""
    found = set()
    text, other = '\n'.join(texts(first).values()), '\n'.join(texts(second).values())
    for written in set(MOMENT.findall(text)):
        if written in other:
            continue  # it does not move
        try:
            moment = datetime.datetime.fromisoformat(written)
        except ValueError:
            continue
        if moment.tzinfo is None:
            continue  # what is left of it will differ
        delay = clock.between(a.now, moment)
        if clock.after(a.now, delay) == written and clock.after(b.now, delay) in other:
            found.add(delay)
    return found


def texts(shot):
    """The parts of a shot in which marks may stand."""
    if hasattr(shot, 'parts'):
        return shot.parts
    body = shot.body if isinstance(shot.body, str) else None
    if shot.encoded is not None:
        from kombu.utils.json import dumps
        parts = {'envelope': dumps(shot.message)}
        if isinstance(parts['envelope'], bytes):
            parts['envelope'] = parts['envelope'].decode()
        if body is not None:
            parts['inner'] = body
    else:
        properties = dict(shot.message.properties)
        headers = properties.pop('application_headers', None) or {}
        if body is not None:
            parts = {'body': body}
            properties.setdefault('content_encoding', 'utf-8')  # amqp/method_framing.py
        else:
            parts = {}
        parts['headers'] = plain(headers, 'headers')
        parts['properties'] = plain({name: properties[name] for name in PROPERTIES
                                     if properties.get(name) is not None}, 'properties')
    shot.parts = parts
    return parts


def plain(value, what):
    def refuse(item):
        raise Unfit(f'a value of its {what} has no JSON form: {item!r}')
    return json.dumps(value, default=refuse)


def draw(shot, sentinel, moments, clock):
    """The blueprint of a shot."""
    pairs = [(sentinel.task_id, ID), (sentinel.tag, TAG)]
    pairs += [(clock.after(sentinel.now, delay), f'{SUB}M{delay}{SUB}') for delay in sorted(moments)]
    marked = {}
    for name, text in texts(shot).items():
        if name in ('inner', 'body') and not any(value in text for value, _ in pairs):
            continue  # nothing to fill in: it may have any characters
        if SUB in text or '\n' in text:
            raise Unfit(f'its {name} has control characters')
        for value, mark in pairs:
            text = text.replace(value, mark)
        marked[name] = text
    if 'inner' in marked:
        within(marked, shot)
    return write(shot, marked, clock)


def copy(shot, clock):
    """The text of a shot that is complete."""
    parts = {name: text for name, text in texts(shot).items() if name not in ('inner', 'body')}
    for name, text in parts.items():
        if SUB in text or '\n' in text:
            raise Unfit(f'its {name} has control characters')
    return write(shot, parts, clock)


def within(marked, shot):
    """Base64 hides the marks of a body: it becomes one mark of the envelope. Where the
    body stands as it is, its marks do."""
    inner = marked.pop('inner')
    if SUB not in inner or shot.encoded == shot.body:
        return
    if base64.b64encode(shot.body.encode()).decode() != shot.encoded:
        raise Unfit('its body has an encoding of its own')
    marked['envelope'] = marked['envelope'].replace(shot.encoded, INNER)
    marked['inner'] = inner


def write(shot, parts, clock):
    lines = ['route ' + json.dumps({
        'exchange': shot.exchange, 'exchange_type': shot.exchange_type,
        'routing_key': shot.routing_key, 'priority': shot.priority,
        'zone': clock.zone, 'wall': clock.wall})]
    if shot.declare:
        lines.append('declare ' + plain(shot.declare, 'queues'))
    lines += [f'{name} {parts[name]}' for name in ('envelope', 'inner', 'body') if name in parts]
    if shot.encoded is None and 'body' not in parts:
        body = shot.body.encode() if isinstance(shot.body, str) else bytes(shot.body)
        if body:
            lines.append('body64 ' + base64.b64encode(body).decode())
    lines += [f'{name} {parts[name]}' for name in ('headers', 'properties') if name in parts]
    return '\n'.join(lines) + '\n'


def declarations(declared):
    """Declarations as beat/message has them: one for each binding of a queue."""
    exchanges, queues, found, bound = {}, {}, [], set()
    for what, name, options in declared:
        if what == 'exchange':
            exchanges[name] = options
        elif what == 'queue':
            queues[name] = options
        else:
            bound.add(name)
            bound.add(('exchange', options['exchange']))
            found.append(declaration(name, queues.get(name, {}), options['exchange'] or '',
                                     exchanges.get(options['exchange']), options))
    found += [declaration(name, options, '', None, {}) for name, options in queues.items()
              if name not in bound]
    return [declaration('', {}, name, options, {}) for name, options in exchanges.items()
            if name and ('exchange', name) not in bound] + found


def declaration(queue, options, exchange, its, binding):
    return {
        'queue': queue, 'exchange': exchange, 'routing_key': binding.get('routing_key') or '',
        'exchange_type': its['type'] if its else '', 'durable': bool(options.get('durable')),
        'auto_delete': bool(options.get('auto_delete')), 'exclusive': bool(options.get('exclusive')),
        'no_declare': its is None or bool(its['passive']),
        'exchange_durable': bool(its and its['durable']),
        'exchange_auto_delete': bool(its and its['auto_delete']),
        'exchange_arguments': (its and its['arguments']) or None,
        'arguments': options.get('arguments') or None, 'bind_arguments': binding.get('arguments') or None,
    }
