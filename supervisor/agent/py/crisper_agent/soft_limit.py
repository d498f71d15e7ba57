"""SoftTimeLimitExceeded in the body of the right task, and nowhere else.

The supervisor writes the task's number into the page and then sends SIGUSR1.
The signal may arrive late: between two tasks, in the next one, or while the
result of the right one is being stored. Celery's own handler raises wherever it
is, which turns a stored success into a failure or breaks the worker.

Here the handler looks at the stack. The body is running when a frame of
Celery's tracer stands on the line that calls the task, with another frame above
it. Before the body (a slow task_prerun receiver) the exception waits for the
body to be entered; after it, it is dropped. This costs a task nothing.
"""
import dis
import functools
import signal
import sys


def install(words, trace_globals, error):
    """Handle SIGUSR1. words is the page as 64-bit words, trace_globals the namespace of
    celery.app.trace, error the exception class to raise."""
    raised_in = 0  # the task that has had its exception

    def on_signal(signum, frame):
        nonlocal raised_in
        seq = words[0]
        if not seq or words[1] != seq or raised_in == seq:
            return
        if runs_body(frame):
            raised_in = seq
            raise error()
        wait_for_body(seq)

    def is_tracer(frame):
        # Not by the code object of build_tracer: integrations replace that function.
        return frame.f_globals is trace_globals and 'fun' in frame.f_code.co_freevars

    def calls_body(frame):
        return is_tracer(frame) and frame.f_lineno in body_lines(frame.f_code)

    def runs_body(frame):
        # The outermost tracer counts: a task may run others eagerly inside.
        tracer = callee = above = None
        while frame is not None:
            if is_tracer(frame):
                tracer, callee = frame, above
            above, frame = frame, frame.f_back
        return callee is not None and calls_body(tracer)

    def wait_for_body(seq):
        """Raise as soon as the tracer calls the task; forget it when the tracer returns."""
        before = sys.getprofile()

        def on_event(frame, event, arg):
            nonlocal raised_in
            if words[0] != seq or (event == 'return' and is_tracer(frame)):
                sys.setprofile(before)
            elif event == 'call' and frame.f_back is not None and calls_body(frame.f_back):
                sys.setprofile(before)
                raised_in = seq
                raise error()

        sys.setprofile(on_event)

    signal.signal(signal.SIGUSR1, on_signal)


@functools.lru_cache(maxsize=8)
def body_lines(code):
    """The lines on which the tracer calls the task, or its before_start."""
    lines, line = set(), None
    starts = dict(dis.findlinestarts(code))
    for instruction in dis.get_instructions(code):
        line = starts.get(instruction.offset, line)
        if instruction.argval in ('fun', 'task_before_start'):
            lines.add(line)
    return frozenset(lines)
