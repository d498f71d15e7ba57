"""The sample app with a task whose RETRY stays to be seen by whoever watches."""

from sample import app, journalled


@app.task(bind=True, max_retries=1, name="sample.retry_later")
@journalled
def retry_later(self, countdown):
    # To a queue that nobody reads: a worker that received it again would tell so, before or
    # after it tells of the retry, and what is seen would be the later of the two.
    raise self.retry(countdown=countdown, queue="nobody", exc=ConnectionError("not now"))
