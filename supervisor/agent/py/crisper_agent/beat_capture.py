"""A broker connection that keeps what is published, and connects to nothing.

Messages are made by kombu's own Producer and by the channel class of the real
transport, up to the point where bytes would leave: what is kept is what would have
been sent. Celery: kombu/messaging.py, transport/virtual/base.py, transport/redis.py
and transport/pyamqp.py, 5.3 to 5.7.
"""
import contextlib
import types

REDIS = ('kombu.transport.redis', ('Transport', 'SentinelTransport'))
AMQP = ('kombu.transport.pyamqp', ('Transport', 'SSLTransport'))


class Shot:
    """One message as it would have left."""

    def __init__(self, exchange, exchange_type, routing_key, priority, **parts):
        self.exchange, self.exchange_type = exchange or '', exchange_type
        self.routing_key, self.priority = routing_key or '', priority
        self.declare = []
        self.body = parts['body']          # as serialized: text or bytes
        self.message = parts['message']    # kombu's
        self.encoded = parts.get('encoded')  # Redis: the body within the envelope


class Film:
    """What was declared and published since the start of a capture."""

    def __init__(self):
        self.tag, self.shots, self.declared = '', [], []

    def roll(self, tag):
        self.tag, self.shots, self.declared = tag, [], []


def kind_of(connection):
    """'redis' or 'amqp', or the path of a transport that is neither."""
    cls = connection.get_transport_cls()
    for kind, (module, names) in (('redis', REDIS), ('amqp', AMQP)):
        if cls.__module__ == module and cls.__name__ in names:
            return kind
    return f'{cls.__module__}:{cls.__qualname__}'


def capturing(connection, film):
    """The connection, with a transport that keeps everything in the film."""
    make = {'redis': redis_transport, 'amqp': amqp_transport}[kind_of(connection)]
    connection.transport_cls = make(connection.get_transport_cls(), film)
    return connection


class Recorder:
    """Declarations, in kombu's order."""

    film = None

    def exchange_declare(self, exchange=None, type='direct', durable=False, auto_delete=False,
                         arguments=None, nowait=False, passive=False, **kwargs):
        self.film.declared.append(('exchange', exchange, {
            'type': type, 'durable': durable, 'auto_delete': auto_delete, 'arguments': arguments,
            'passive': passive}))

    def queue_declare(self, queue=None, passive=False, durable=False, exclusive=False,
                      auto_delete=True, arguments=None, nowait=False, **kwargs):
        self.film.declared.append(('queue', queue, {
            'durable': durable, 'exclusive': exclusive, 'auto_delete': auto_delete,
            'arguments': arguments}))

    def queue_bind(self, queue, exchange=None, routing_key='', arguments=None, **kwargs):
        self.film.declared.append(('bind', queue, {
            'exchange': exchange, 'routing_key': routing_key, 'arguments': arguments}))


def redis_transport(base, roll):
    from kombu.transport import virtual

    class Channel(Recorder, base.Channel):
        film = roll

        def __init__(self, *args, **kwargs):
            virtual.Channel.__init__(self, *args, **kwargs)  # the Redis one would connect
            self.active_fanout_queues, self.auto_delete_queues = set(), set()
            self._fanout_to_queue, self._expires = {}, {}

        def exchange_declare(self, exchange=None, type='direct', *args, **kwargs):
            Recorder.exchange_declare(self, exchange, type, *args, **kwargs)
            base.Channel.exchange_declare(self, exchange, type, *args, **kwargs)  # for typeof

        def _next_delivery_tag(self):
            return self.film.tag

        def basic_publish(self, message, exchange, routing_key, **kwargs):
            body = message['body']
            self._inplace_augment_message(message, exchange, routing_key)
            kind = self.typeof(exchange).type if exchange else 'direct'
            self.film.shots.append(Shot(
                exchange, kind, routing_key, self._get_message_priority(message, reverse=False),
                body=body, message=message, encoded=message['body']))

        def close(self):
            self.closed = True

    return type('Transport', (Offline, base), {'Channel': Channel})


def amqp_transport(base, roll):
    own = base.Connection.Channel

    class Channel(Recorder):
        film = roll
        prepare_message = own.prepare_message
        prepare_queue_arguments = own.prepare_queue_arguments
        is_open = True

        def __init__(self, connection):
            self.connection, self.events = connection, {}

        def basic_publish(self, message, exchange='', routing_key='', **kwargs):
            kind = next((options['type'] for what, name, options in self.film.declared
                         if what == 'exchange' and name == exchange), 'direct')
            self.film.shots.append(Shot(
                exchange, kind, routing_key, message.properties.get('priority') or 0,
                body=message.body, message=message))

        def close(self):
            pass

    class Transport(Offline, base):
        def establish_connection(self):
            return types.SimpleNamespace(client=self.client, is_alive=True, channels={})

        def create_channel(self, connection):
            return Channel(connection)

        def close_connection(self, connection):
            pass

    return Transport


class Offline:
    """A transport without a wire."""

    def verify_connection(self, connection):
        return True

    def heartbeat_check(self, connection, rate=2):
        pass


class Fakes:
    """Stands in for chance and time while a message is made: the first id that Celery
    draws is ours, the others are its own; now is ours when one is given."""

    def __init__(self, app):
        import celery.app.base
        self.app, self.module = app, celery.app.base
        if not callable(getattr(self.module, 'uuid', None)):
            raise RuntimeError('this Celery draws its task ids elsewhere (celery/app/base.py)')

    @contextlib.contextmanager
    def set(self, task_id, now=None):
        draw, ids = self.module.uuid, [task_id]
        self.module.uuid = lambda *args, **kwargs: ids.pop() if ids else draw(*args, **kwargs)
        if now is not None:
            self.app.now = lambda: now
        # Stock beat subscribes to the results of what it sends (Redis, RPC), and never reads
        # them. It is no part of the message.
        backend = self.app.backend
        backend.on_task_call = lambda producer, task_id: {}
        try:
            yield
        finally:
            self.module.uuid = draw
            backend.__dict__.pop('on_task_call', None)
            if now is not None:
                self.app.__dict__.pop('now', None)
