"""An app with OpenTelemetry, set up in worker_process_init as its documentation tells."""

import json
import os

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown
from opentelemetry import trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

app = Celery("otelled")
app.conf.task_default_queue = "default"


class FileExporter(SpanExporter):
    """A line for each span; one write for each line, so that processes do not mix."""

    def export(self, spans):
        out = os.open(os.environ["SPANS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        for span in spans:
            line = {
                "name": span.name, "kind": span.kind.name, "status": span.status.status_code.name,
                "trace": span.context.trace_id, "span": span.context.span_id,
                "parent": span.parent.span_id if span.parent else 0, "remote": bool(span.parent and span.parent.is_remote),
                "attributes": dict(span.attributes),
                "events": [[e.name, e.attributes.get("exception.type")] for e in span.events], "pid": os.getpid(),
            }
            os.write(out, json.dumps(line, default=repr).encode() + b"\n")
        os.close(out)
        return SpanExportResult.SUCCESS


def instrument():
    provider = TracerProvider()
    # A thread for each process: it must be started after the fork.
    provider.add_span_processor(BatchSpanProcessor(FileExporter(), schedule_delay_millis=200))
    trace.set_tracer_provider(provider)
    CeleryInstrumentor().instrument()


@worker_process_init.connect(weak=False)
def init_tracing(**kwargs):
    instrument()


@worker_process_shutdown.connect(weak=False)
def flush(**kwargs):
    trace.get_tracer_provider().shutdown()


@app.task
def add(x, y):
    return x + y


@app.task
def fail():
    raise ValueError("seen in the span")


@app.task(bind=True, max_retries=1)
def retry(self):
    if self.request.retries == 0:
        raise self.retry(countdown=0.05, exc=ConnectionError("once"))
    return "then well"


@app.task
def parent():
    """Publishes inside its own span."""
    with trace.get_tracer("otelled").start_as_current_span("work"):
        return add.delay(1, 1).id


def publish(name, *args):
    if not CeleryInstrumentor().is_instrumented_by_opentelemetry:
        instrument()
    with trace.get_tracer("client").start_as_current_span("request"):
        result = app.tasks["otelled." + name].apply_async(args)
    trace.get_tracer_provider().force_flush()
    return result.id
