"""What kombu leaves in Redis for given messages: publish.py send|dump URL.

send reads a JSON list of messages from standard input, publishes them with kombu
and prints the dump; dump prints what is in the database: lists with their task ids,
sets, and which keys have a lifetime.
"""

import json
import sys

import kombu
import redis

action, url = sys.argv[1:]


def queue(d):
    exchange = kombu.Exchange(d["exchange"], type=d["exchange_type"], durable=True) if d["exchange"] else None
    return kombu.Queue(d["queue"], exchange, routing_key=d["routing_key"], queue_arguments=d["arguments"] or None)


if action == "send":
    with kombu.Connection(url) as connection:
        producer = connection.Producer()
        for m in json.load(sys.stdin):
            producer.publish(
                b"[]", content_type="application/json", content_encoding="utf-8", headers={"id": m["id"]},
                exchange=kombu.Exchange(m["exchange"], type=m["exchange_type"]) if m["exchange"] else "",
                routing_key=m["routing_key"], priority=m["priority"], declare=[queue(d) for d in m["declare"] or []])

client = redis.Redis.from_url(url, decode_responses=True)
found = {}
for key in client.keys("*"):
    kind = client.type(key)
    if key.startswith("crisper."):
        continue
    if kind == "list":
        found[key] = [json.loads(text)["headers"]["id"] for text in client.lrange(key, 0, -1)][::-1]
    elif kind == "set":
        found[key] = sorted(client.smembers(key))
    elif kind == "zset":
        found[key] = sorted(client.zrange(key, 0, -1))
    found[key] = {"holds": found.get(key), "expires": client.pttl(key) > 0}
print(json.dumps(found, sort_keys=True))
