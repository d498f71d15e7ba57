"""Has Celery publish one message of each task named, and prints the envelopes.

    capture.py MODULE TASK...  ->  {"TASK": {"queue": ..., "message": "{...}"}}

Id, delivery tag and body are replaced by marks, for the copies to be made.
"""

import importlib
import json
import sys
import uuid

app = importlib.import_module(sys.argv[1]).app
made = {}
with app.connection_for_write() as connection:
    client = connection.default_channel.client
    for name in sys.argv[2:]:
        task_id, aside = str(uuid.uuid4()), "capture-" + uuid.uuid4().hex
        app.send_task(name, task_id=task_id, exchange="", routing_key=aside)
        envelope = json.loads(client.rpop(aside))
        queue = app.conf.task_default_queue
        envelope["properties"]["delivery_tag"] = "@TAG@"
        envelope["properties"]["delivery_info"]["routing_key"] = queue
        envelope["body"] = "@BODY@"
        made[name] = {"queue": queue, "message": json.dumps(envelope).replace(task_id, "@ID@")}
print(json.dumps(made))
