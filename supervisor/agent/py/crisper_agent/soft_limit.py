"""SoftTimeLimitExceeded in the body of the right task, and nowhere else.

The supervisor writes the task's number into the page and then sends SIGUSR1.
The signal may arrive late: between two tasks, in the next one, or while the
result of the right one is being stored. Celery's own handler raises wherever it
is, which turns a stored success into a failure or breaks the worker.

Here the handler looks at the stack. The body is running when a frame of
Celery's tracer stands on the line that calls the task, with the task's frame above
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

    def is_wrapper(frame):
        # Celery's own __call__ around the body (_install_stack_protection).
        return frame.f_globals is trace_globals and frame.f_code.co_name == '__protected_call__'

    def is_body(frame):
        """Is this the frame of the task itself?"""
        caller = frame.f_back
        if is_wrapper(frame) or caller is None:
            return False
        if is_wrapper(caller) and at_call(caller):
            caller = caller.f_back
        return caller is not None and is_tracer(caller) and at_call(caller)

    def runs_body(frame):
        while frame is not None:
            if is_body(frame):
                return True
            frame = frame.f_back
        return False

    def wait_for_body(seq):
        """Raise as soon as the tracer calls the task; forget it when the tracer returns."""
        before = sys.getprofile()

        def on_event(frame, event, arg):
            nonlocal raised_in
            if words[0] != seq or (event == 'return' and is_tracer(frame)):
                sys.setprofile(before)
            elif event == 'call' and is_body(frame):
                sys.setprofile(before)
                raised_in = seq
                raise error()

        sys.setprofile(on_event)

    signal.signal(signal.SIGUSR1, on_signal)


#: What the tracer and Celery's __call__ call when they call the task.
CALLED = frozenset(('fun', 'task_before_start', 'run', 'orig'))


def at_call(frame):
    """Does the frame stand where it calls the task?"""
    return frame.f_lineno in call_lines(frame.f_code)


@functools.lru_cache(maxsize=8)
def call_lines(code):
    lines, line = set(), None
    starts = dict(dis.findlinestarts(code))
    for instruction in dis.get_instructions(code):
        line = starts.get(instruction.offset, line)
        if instruction.argval in CALLED:
            lines.add(line)
    return frozenset(lines)
