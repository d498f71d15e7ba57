"""The other side of the compatibility tests: real Celery and kombu."""
import sys

from celery import Celery
from kombu import Queue

url, command, *rest = sys.argv[1:]
app = Celery("proj", broker=url)
queue = Queue("q")


def publish(count):
    for i in range(count):
        app.send_task("proj.add", args=(i, i), task_id=f"id-{i}", queue="q", priority=9 * (i % 2))


def sweep():
    with app.connection() as connection:
        channel = connection.default_channel
        queue(channel).declare()
        channel.qos.channel.visibility_timeout = -5
        channel.qos.restore_visible(num=None, interval=1)


def consume(count):
    with app.connection() as connection:
        bound = queue(connection.default_channel)
        for _ in range(count):
            message = bound.get()
            print(message.headers["id"], message.headers["redelivered"])
            message.ack()


{"publish": publish, "sweep": sweep, "consume": consume}[command](*map(int, rest))
