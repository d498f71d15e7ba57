"""The publisher's side of the tests: the real Celery client, driven by JSON lines.

One request per line on standard input, one answer per line on standard output:

    {"op": "send", "task": "sample.add", "args": [1, 2], "kwargs": {}, "options": {}}
        -> {"ok": "<task id>"}
    {"op": "bulk", "task": "sample.noop", "args": [], "count": 1000, "options": {}}
        -> {"ok": ["<id>", ...]}         one pipeline: thousands per second
    {"op": "results", "ids": [...], "timeout": 10}
        -> {"ok": {"<id>": {"state": "SUCCESS", "result": ..., "traceback": ...}}}
    {"op": "eval", "code": "chord([add.s(1, 1)])(total.s()).get(timeout=9)"}
        -> {"ok": value}                 with the app's tasks, chain, group, chord in reach

Anything that goes wrong answers {"error": "...", "traceback": "..."}.
"""

import importlib
import json
import os
import sys
import time
import traceback
import uuid

import celery
import kombu
from celery.result import AsyncResult

# What the app prints must not end up between our answers.
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

module = importlib.import_module(os.environ.get("DRIVER_APP", "sample"))
app = module.app
names = {"app": app, "time": time, "celery": celery, "AsyncResult": AsyncResult}
names.update({name: getattr(celery, name) for name in ("chain", "group", "chord", "signature")})
names.update({task.name.rpartition(".")[2]: task for task in app.tasks.values() if not task.name.startswith("celery.")})


def send(request):
    options = request.get("options") or {}
    return app.send_task(request["task"], request.get("args") or [], request.get("kwargs") or {}, **options).id


def bulk(request):
    """Celery makes the first message; the others differ in their ids only."""
    options = dict(request.get("options") or {})
    queue = options.pop("queue", None) or app.conf.task_default_queue
    pattern = str(uuid.uuid4())
    envelope, priority = capture(request, queue, pattern, options)
    ids = [str(uuid.uuid4()) for _ in range(request["count"])]
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        key = channel._q_for_pri(queue, priority)
        for start in range(0, len(ids), 1000):
            pipe = channel.client.pipeline(transaction=False)
            for each in ids[start:start + 1000]:
                pipe.lpush(key, envelope.replace(pattern, each).replace("@TAG@", str(uuid.uuid4())))
            pipe.execute()
    return ids


def capture(request, queue, task_id, options):
    """The envelope of one message, published where nobody consumes."""
    with kombu.Connection("memory://") as connection:
        with app.amqp.Producer(connection, auto_declare=False) as producer:
            app.send_task(request["task"], request.get("args") or [], request.get("kwargs") or {},
                          task_id=task_id, queue=queue, producer=producer, **options)
        channel = connection.default_channel
        envelope = channel._get(queue)
    envelope["properties"]["delivery_tag"] = "@TAG@"
    return json.dumps(envelope), envelope["properties"].get("priority") or 0


def results(request):
    deadline = time.monotonic() + request.get("timeout", 30)
    waiting, found = list(request["ids"]), {}
    while waiting:
        still = []
        for each in waiting:
            meta = app.backend.get_task_meta(each)
            if meta["status"] in ("SUCCESS", "FAILURE", "REVOKED", "REJECTED", "IGNORED"):
                found[each] = describe(meta)
            else:
                still.append(each)
        waiting = still
        if waiting and time.monotonic() > deadline:
            for each in waiting:
                found[each] = describe(app.backend.get_task_meta(each))
            break
        if waiting:
            time.sleep(0.005)  # the backend may be one that has no notifications
    return found


def describe(meta):
    result = meta.get("result")
    if isinstance(result, BaseException):
        result = "%s: %s" % (type(result).__name__, result)
    return {"state": meta["status"], "result": result, "traceback": meta.get("traceback")}


def send_v1(name, *args):
    """A message of protocol 1, as old clients send it."""
    message = app.amqp.as_task_v1(str(uuid.uuid4()), name, args=args, kwargs={})
    with app.producer_pool.acquire(block=True) as producer:
        app.amqp.send_task_message(producer, name, message)
    return AsyncResult(message.properties["correlation_id"])


def send_raw(text, queue=None):
    """Any bytes at all, at the end of a queue."""
    with app.connection_for_write() as connection:
        return connection.default_channel.client.lpush(queue or app.conf.task_default_queue, text)


def send_envelope(**changes):
    """A good message of sample.add with parts of it replaced; two underscores lead inside."""
    task_id = str(uuid.uuid4())
    text, _ = capture({"task": "sample.add", "args": [1, 2]}, app.conf.task_default_queue, task_id, {})
    envelope = json.loads(text.replace("@TAG@", str(uuid.uuid4())))
    for path, value in changes.items():
        place = envelope
        *parents, last = path.split("__")
        for parent in parents:
            place = place[parent]
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    send_raw(json.dumps(envelope))
    return task_id


def evaluate(request):
    helpers = {"send_v1": send_v1, "send_raw": send_raw, "send_envelope": send_envelope}
    return eval(request["code"], {**names, **helpers})  # tests only: the code is written in them


OPERATIONS = {"send": send, "bulk": bulk, "results": results, "eval": evaluate}


def main():
    print(json.dumps({"ok": "ready"}), file=answers)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"ok": OPERATIONS[request["op"]](request)}
        except Exception as exc:  # noqa: BLE001: every failure is an answer
            answer = {"error": "%s: %s" % (type(exc).__name__, exc), "traceback": traceback.format_exc()}
        print(json.dumps(answer, default=repr), file=answers)


main()
