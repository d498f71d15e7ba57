"""Writes the messages beside it, as the installed Celery makes and reads them.

    python generate.py      (any environment with celery; no broker is needed)

<name>.json is the envelope as kombu's Redis transport writes it, and
<name>.request.json what Celery's worker makes of it for the tracer
(Request._request_dict), without args and kwargs, which the child adds itself.
"""
import json
import pathlib

from celery import Celery
from celery.worker import strategy
from celery.worker.request import Request
from kombu.transport import memory
from kombu.transport.virtual import Message
from kombu.utils.json import dumps

app = Celery('proj', broker='memory://', set_as_current=True)
sent = []
memory.Channel._put = lambda self, queue, message, **kw: sent.append(message)


@app.task(name='proj.tasks.send_welcome_mail')
def mail(*args, **kwargs):
    pass


class Channel:
    """As much of a channel as a message needs to decode itself."""

    codecs = memory.Channel.codecs
    decode_body = memory.Channel.decode_body


def request_of(envelope):
    message = Message(json.loads(envelope), channel=Channel())
    kwargs = {}
    if 'task' not in message.headers:
        body, headers, decoded, utc = strategy.proto1_to_proto2(message, message.payload)
        kwargs = {'body': body, 'headers': headers, 'decoded': decoded, 'utc': utc}
    request = Request(message, app=app, hostname='celery@host', task=mail, **kwargs)
    return {k: v for k, v in request.request_dict.items() if k not in ('args', 'kwargs')}


def main():
    mail.apply_async(args=(4711, 'ada@example.org', {'plan': 'pro', 'seats': 12}),
                     kwargs={'locale': 'de_DE', 'retry': True, 'note': 'Grüße'},
                     time_limit=60, soft_time_limit=50)
    mail.apply_async(args=(1,), countdown=60, expires=300, priority=5, queue='emails',
                     link=mail.s(2), headers={'x-tenant': 'ä"b', 'tags': [1, None, {'deep': True}]})
    app.conf.task_protocol = 1
    vars(app.amqp).pop('create_task_message', None)  # cached for protocol 2
    mail.apply_async(args=(1, 'zwei'), kwargs={'three': 3}, group_id='g1')
    for message in sent:
        origin = message['headers'].get('origin')
        if origin:
            message['headers']['origin'] = 'gen1@sender'  # not the name of somebody's machine
    here = pathlib.Path(__file__).parent
    for name, message in zip(('typical', 'eta', 'protocol1'), sent):
        text = dumps(message)
        (here / f'{name}.json').write_text(text)
        (here / f'{name}.request.json').write_text(json.dumps(request_of(text), indent=1, default=str) + '\n')


if __name__ == '__main__':
    main()
