"""What a Celery worker says of itself when it is asked: plain values for JSON."""
import sys

SHOWN = 50  # tasks named in one report


def counts(consumer):
    from celery.worker import state

    active = list(state.active_requests)
    return {
        "accepted": state.all_total_count[0],
        "active": len(active),
        "reserved": len(state.reserved_requests),
        "tasks": [[r.id, r.name] for r in active[:SHOWN]],
        "room": room(consumer),
        "queues": list(consumer.app.amqp.queues.consume_from),
    }


def room(consumer):
    """Would the transport take one more? None where the transport does not say (AMQP)."""
    qos = getattr(getattr(consumer.task_consumer, "channel", None), "qos", None)
    can_consume = getattr(qos, "can_consume", None)
    if can_consume is None:
        # Without a connection there is nothing in its way.
        return True if consumer.task_consumer is None else None
    return bool(can_consume())


def pool(consumer):
    return type(consumer.pool).__module__.rpartition(".")[2]


def start():
    """How this process came to its app, so that another can do the same."""
    return {"executable": sys.executable or "", "argv": [str(a) for a in sys.argv], "path": [p for p in sys.path if isinstance(p, str)]}


def broker(app):
    """How to reach the broker. It holds the password: the socketpair is private."""
    connection = app.connection_for_read()
    urls = list(connection.alt)
    if not urls:
        url = app.conf.broker_read_url
        plain = isinstance(url, str) and "://" in url
        urls = [url if plain else connection.as_uri(include_password=True)]
    strategy = app.conf.broker_failover_strategy or "round-robin"
    return {
        "urls": [str(url) for url in urls],
        "failover_strategy": strategy if isinstance(strategy, str) else repr(strategy),
        "transport_options": plain_values(connection.transport_options or {}),
        "use_ssl": plain_values(app.conf.broker_use_ssl or False),
        "connect_timeout": app.conf.broker_connection_timeout or 0,
    }


def plain_values(value):
    if isinstance(value, dict):
        return {str(k): plain_values(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain_values(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return {"__opaque__": repr(value)}  # known by nobody, and named as such
