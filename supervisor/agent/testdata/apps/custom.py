"""An app that needs what only Celery's own worker has."""
from celery import Celery, bootsteps
from celery.worker.request import Request

app = Celery('custom', broker='redis://:secret@example.invalid:6379/2')
app.conf.worker_consumer = 'custom:Consumer'
app.conf.broker_transport_options = {'visibility_timeout': 5, 'hook': print}


class Step(bootsteps.StartStopStep):
    pass


class MyRequest(Request):
    pass


app.steps['consumer'].add(Step)


@app.task(Request=MyRequest)
def special():
    pass
