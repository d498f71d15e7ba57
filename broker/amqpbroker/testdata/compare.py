"""compare.py send|get URL: publishes one message with kombu, as a Celery client does,
or takes all messages of the queue and prints what they consist of, types included.
Both declare the queue, so that a declaration of ours that is not kombu's is refused.
"""

import json
import sys

import kombu

action, url = sys.argv[1:]
message = json.load(sys.stdin)
exchange = kombu.Exchange("cmp", type="topic", durable=True)
queue = kombu.Queue("cmp", exchange, routing_key="cmp.#", max_priority=9, queue_arguments={"x-queue-mode": "lazy"})

with kombu.Connection(url) as connection:
    if action == "send":
        connection.Producer().publish(
            message["body"].encode(), exchange=exchange, routing_key="cmp.a", declare=[queue], headers=message["headers"],
            content_type="application/json", content_encoding="utf-8", priority=3, correlation_id="id", reply_to="reply", expiration=60)
    else:
        bound = queue(connection.default_channel)
        bound.declare()
        while True:
            m = bound.get(no_ack=True)
            if m is None:
                break
            info = {k: v for k, v in m.delivery_info.items() if k in ("exchange", "routing_key")}
            properties = {k: v for k, v in m.properties.items() if k != "application_headers"}
            print(repr((m.body, m.content_type, m.content_encoding, sorted(properties.items()), sorted(m.headers.items(), key=str), sorted(info.items()))))
