"""The sample app with a task whose RETRY lasts long enough to be seen by whoever watches."""

from sample import app, journalled


@app.task(bind=True, max_retries=1, name="sample.retry_later")
@journalled
def retry_later(self, countdown):
    raise self.retry(countdown=countdown, exc=ConnectionError("not now"))
