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
    queue = app.conf.task_default_queue
    if client.llen(queue):
        sys.exit("capture.py: the queue %s is not empty" % queue)
    for name in sys.argv[2:]:
        task_id = str(uuid.uuid4())
        app.send_task(name, task_id=task_id)  # without its arguments: by name nothing checks them
        envelope = json.loads(client.rpop(queue))
        envelope["properties"]["delivery_tag"] = "@TAG@"
        envelope["body"] = "@BODY@"
        made[name] = {"queue": queue, "message": json.dumps(envelope).replace(task_id, "@ID@")}
print(json.dumps(made))
