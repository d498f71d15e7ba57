"""Plays the cases against the worker that is there, and prints what was seen as JSON.

    play.py send                 send all cases, wait until the broker is empty
    play.py collect LOG JOURNAL  after the worker has left: everything, by case

Ids of tasks are made from the names of the cases: both sides use the same ones, so
that nothing has to be matched up afterwards.
"""
import json
import os
import re
import sys
import threading
import time
import uuid

# The publisher is not what is compared.
os.environ.pop("DIFF_SIGNALS", None)
import diffapp  # noqa: E402
from celery import chord, group  # noqa: E402
from diffapp import MODES, OUTCOMES, RESULTS, app  # noqa: E402

SETTLE_WITHIN = 600  # seconds; a busy machine needs minutes


def id_of(case):
    return str(uuid.uuid5(uuid.NAMESPACE_OID, case))


def plain_cases():
    for body in OUTCOMES:
        for mode in MODES:
            for setting in RESULTS:
                yield f"{body.__name__}.{mode}.{setting}", {}


def more_cases():
    """What is about the message rather than about the task."""
    for mode in MODES:
        for setting in RESULTS:
            tail = f"{mode}.{setting}"
            yield f"success.{tail} expired", {"expires": -5}
            yield f"success.{tail} countdown", {"countdown": 0.5}
            yield f"success.{tail} wrong arguments", {"args": (1,), "kwargs": {"no": 1}}
            yield f"success.{tail} linked", {"link": True}
            for outcome in ("failure", "killed", "hard", "reject", "retry_out"):
                yield f"{outcome}.{tail} errback", {"link_error": True}
    yield "unknown", {"name": "diff.no.such.task"}
    yield "success.early.stored shadow", {"shadow": "another name"}
    yield "success.early.stored priority", {"priority": 6}
    yield "success.early.stored headers", {"headers": {"x-trace": "abc"}}
    yield "success.early.stored compressed", {"compression": "gzip", "args": ("x" * 3000,)}
    yield "soft.early.stored by message", {"soft_time_limit": 0.5}
    yield "failure.early.stored ignored by message", {"ignore_result": True}
    yield "success.early.stored ignored by message", {"ignore_result": True}


def cases():
    return {**dict(plain_cases()), **dict(more_cases())}


def send(case, options):
    options = dict(options)
    name = options.pop("name", None) or "diff." + case.partition(" ")[0]
    if options.pop("link", None):
        options["link"] = app.signature("diff.callback").set(task_id=id_of(case + " callback"))
    if options.pop("link_error", None):
        options["link_error"] = app.signature("diff.errback").set(task_id=id_of(case + " errback"))
    app.send_task(name, options.pop("args", ()), options.pop("kwargs", {}), task_id=id_of(case),
                  **{**own(name), **options})


def own(name):
    """send_task knows nothing of the task's own settings that travel in the message."""
    task = app.tasks.get(name)
    if task is None:
        return {}
    found = {"soft_time_limit": task.soft_time_limit, "time_limit": task.time_limit, "ignore_result": task.ignore_result}
    return {key: value for key, value in found.items() if value}


def send_all():
    for case, options in cases().items():
        send(case, options)
    failing = group(app.signature("diff.success.early.stored"), app.signature("diff.failure.early.stored"))
    for case, header in (("chord", group(app.signature("diff.success.early.stored") for _ in range(3))),
                         ("chord that fails", failing)):
        for number, part in enumerate(header.tasks):
            part.set(task_id=id_of(f"{case} part {number}"))
        chord(header)(app.signature("diff.body").set(task_id=id_of(case + " body")))
    (app.signature("diff.success.early.stored").set(task_id=id_of("chain first"))
     | app.signature("diff.callback").set(task_id=id_of("chain second"))).delay()


def known():
    """Every id with its case."""
    names = list(cases())
    names += [f"{each} callback" for each in names] + [f"{each} errback" for each in names]
    names += ["chord body", "chord that fails body", "chain first", "chain second"]
    names += [f"chord part {n}" for n in range(3)] + [f"chord that fails part {n}" for n in range(2)]
    return {id_of(each): each for each in names}


def left_over(client):
    waiting = sum(client.llen(key) for key in client.scan_iter("diff*"))
    return waiting + client.hlen("unacked")


def wait_until_settled(client):
    """Nothing waits and nothing is in hand, three looks in a row: a retry is on its way in between."""
    deadline, quiet = time.monotonic() + SETTLE_WITHIN, 0
    while quiet < 3:
        if time.monotonic() > deadline:
            raise SystemExit("the worker did not settle everything in %d s: %d messages are left" % (
                SETTLE_WITHIN, left_over(client)))
        time.sleep(0.3)  # nobody announces that nothing is left
        quiet = quiet + 1 if left_over(client) == 0 else 0


def capture(seen, ready, over):
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": seen.append})
        with receiver.consumer_context(wakeup=False) as (conn, _, _):
            ready.set()
            while not over.is_set():
                try:
                    conn.drain_events(timeout=0.5)
                except TimeoutError:
                    pass


def play():
    seen, ready, over = [], threading.Event(), threading.Event()
    listener = threading.Thread(target=capture, args=(seen, ready, over))
    listener.start()
    ready.wait()
    try:
        send_all()
        with app.connection_for_read() as connection:
            wait_until_settled(connection.default_channel.client)
        time.sleep(1.5)  # events are sent after what they tell of
    finally:
        over.set()
        listener.join()
    with open(os.environ["DIFF_EVENTS"], "w") as out:
        json.dump(seen, out, default=repr)


# Collecting.

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
LINE = re.compile(r"\[[^]]*: (\w+)/(\w+)[^]]*\] (.*)")
PASSING = {"date_done", "timestamp", "clock", "local_received", "pid", "hostname", "runtime", "worker", "utcoffset"}


def tidy(value):
    """Without what differs between any two runs."""
    if isinstance(value, dict):
        return {key: ("*" if each is not None else None) if key in PASSING else tidy(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [tidy(each) for each in value]
    if isinstance(value, str):
        ids = known_ids()
        value = UUID.sub(lambda found: ids.get(found[0], "*id*"), value)
        value = re.sub(r"^(chord.*) part \d$", r"\1 part *", value)  # the last one to end is the body's parent
        value = re.sub(r"Job: \d+", "Job: N", re.sub(r"0x[0-9a-f]+", "0x*", value))
        return re.sub(r"\d\d\d\d-\d\d-\d\dT[\d:.+]+Z?", "*time*", value)
    return value


_ids = {}


def known_ids():
    if not _ids:
        _ids.update(known())
    return _ids


def record_of(found, task_id):
    return found.setdefault(known_ids().get(task_id, "unknown ids"), {"runs": [], "signals": {}, "log": {}, "events": []})


def collect(log, journal):
    found = {}
    with app.connection_for_read() as connection:
        left = left_over(connection.default_channel.client)
    for task_id, case in known_ids().items():
        raw = app.backend.client.get(app.backend.get_key_for_task(task_id))
        if raw is not None:
            record_of(found, task_id)["backend"] = tidy(shorten(json.loads(raw)))
    worker = {"signals": {}, "left": left}
    read_journal(journal, found, worker)
    read_log(log, found)
    read_events(found)
    found["the worker"] = worker
    return {case: flat for case, flat in sorted(found.items())}


def shorten(meta):
    if meta.get("traceback"):
        meta["traceback"] = meta["traceback"].strip().splitlines()[-1]
    return meta


def read_journal(path, found, worker):
    with open(path) as lines:
        for line in map(json.loads, lines):
            event, kind, task_id = line.pop("event"), line.pop("kind"), line.pop("id", None)
            if event == "signal" and line["signal"].startswith(("worker_", "celeryd_")):
                worker["signals"].setdefault(f"{line['signal']} in {kind}", {key: tidy(line[key]) for key in ("gets", "sender")})
            elif event == "signal":
                record_of(found, task_id)["signals"].setdefault(kind, []).append(tidy(line))
            else:
                record_of(found, task_id)["runs"].append(tidy(dict(line, event=event, kind=kind)))


def read_log(path, found):
    with open(path, errors="replace") as lines:
        for line in lines:
            ids, match = UUID.findall(line), LINE.match(line)
            if ids and match and ids[0] in known_ids():
                level, kind, text = match.groups()
                text = re.sub(r"\d+\.\d+(e-\d+)?s", "N s", re.sub(r"( [a-z_]+=\S+)+$", "", text))
                record_of(found, ids[0])["log"].setdefault(kind, []).append(tidy(f"{level} {text}"))


def read_events(found):
    with open(os.environ["DIFF_EVENTS"]) as text:
        for event in json.load(text):
            if event.get("type", "").startswith("task-"):
                if event.get("traceback"):
                    event["traceback"] = event["traceback"].strip().splitlines()[-1]
                record_of(found, event.get("uuid"))["events"].append(tidy(event))


if sys.argv[1] == "send":
    play()
else:
    json.dump(collect(*sys.argv[2:]), sys.stdout)
