"""Quicker forms of functions of Celery's that every task passes through.

A third of what Celery's tracer costs for a task that does nothing is a few small
functions that are general where nearly every call is simple: the custom headers of a
request (none), the repr of a result (None, a number, a short text), and the two
stacks on which the running task lies (each holds one entry, then none).

Each answers what Celery's answers, in the same objects; tests compare them. A
function is replaced only where it is Celery's own and made as we know it, so that a
newer Celery, or an integration that has put its own there, is left alone.
"""
from celery.app import task, trace
from celery.utils import saferepr as saferepr_module
from celery.utils import threads

from . import guard


@guard.never_raise
def quicken():
    context, stack = task.Context, threads._LocalStack
    if is_made_of(context.__dict__.get('_get_custom_headers'), {'update', 'Context', '__dict__', 'keys', 'pop'},
                  {'lang', 'task', 'argsrepr', 'kwargsrepr', 'compression'}):
        context._get_custom_headers = custom_headers(context.__dict__)
    if trace.saferepr is saferepr_module.saferepr and is_made_of(
            trace.saferepr, {'join', '_saferepr'}, {'maxlen', 'maxlevels', 'seen', ''}):
        trace.saferepr = short_repr(trace.saferepr)
    if local_is_known(threads.Local) and stack_is_known(stack):
        stack.push, stack.pop, stack.__len__, stack.top = push, pop, size, property(top)


def stack_is_known(stack):
    return is_made_of(
        stack.__dict__.get('push'), {'getattr', '_local', 'stack', 'append'}, {'stack'}
    ) and is_made_of(
        stack.__dict__.get('pop'), {'getattr', '_local', 'len', 'release_local', 'pop'}, {'stack'}
    ) and is_made_of(
        stack.__dict__.get('__len__'), {'getattr', '_local', 'len'}, {'stack'}
    ) and is_made_of(
        getattr(stack.__dict__.get('top'), 'fget', None), {'_local', 'stack', 'AttributeError', 'IndexError'}, set())


def local_is_known(local):
    return local.__slots__ == ('__storage__', '__ident_func__') and is_made_of(
        local.__dict__.get('__getattr__'), {'__storage__', '__ident_func__', 'KeyError', 'AttributeError'}, set()
    ) and is_made_of(
        local.__dict__.get('__setattr__'), {'__storage__', '__ident_func__', 'KeyError'}, set()
    ) and is_made_of(
        local.__dict__.get('__release_local__'), {'__storage__', 'pop', '__ident_func__'}, set())


def is_made_of(function, names, texts):
    """Does the function use just these names and, but for its documentation, these texts?
    How code is compiled differs between versions of Python; what it mentions does not."""
    code = getattr(function, '__code__', None)
    if code is None or not function.__module__.startswith('celery.'):
        return False
    found = set()
    for constant in code.co_consts:
        found.update(constant if isinstance(constant, (tuple, frozenset)) else (constant,))
    found = {text for text in found if isinstance(text, str) and text != function.__doc__}
    return set(code.co_names) == names and found == texts


def custom_headers(own):
    """What of a request is no attribute of Context, nor of the protocol; None when nothing is.

    own is the live namespace of the class, asked each time as Celery does."""
    own, of_protocol = own.keys(), frozenset(('lang', 'task', 'argsrepr', 'kwargsrepr', 'compression'))

    def _get_custom_headers(self, *args, **kwargs):
        headers = dict(*args, **kwargs)
        custom = headers.keys() - own - of_protocol
        if not custom:
            return None
        return {name: value for name, value in headers.items() if name in custom}

    return _get_custom_headers


def short_repr(saferepr):
    """Of what is simple and not cut; all else is Celery's to write."""
    numbers = frozenset((int, bool, float))

    def quick(o, maxlen=None, maxlevels=3, seen=None):
        kind = type(o)
        if o is None or kind in numbers:
            text = str(o)
        elif kind is str:
            text = o
        else:
            return saferepr(o, maxlen, maxlevels, seen)
        if maxlen is not None and len(text) >= maxlen:
            return saferepr(o, maxlen, maxlevels, seen)
        return "'" + text.replace("'", "\\'") + "'" if kind is str else text

    return quick


def push(self, obj):
    """Push a new item to the stack."""
    local = self._local
    storage, ident = local.__storage__, local.__ident_func__()
    mine = storage.get(ident)
    if mine is None:
        storage[ident] = {'stack': [obj]}
        return storage[ident]['stack']
    stack = mine.get('stack')
    if stack is None:
        mine['stack'] = stack = []
    stack.append(obj)
    return stack


def pop(self):
    """Remove the topmost item from the stack: None if there is none."""
    local = self._local
    storage, ident = local.__storage__, local.__ident_func__()
    mine = storage.get(ident)
    stack = mine.get('stack') if mine is not None else None
    if stack is None:
        return None
    if len(stack) == 1:
        storage.pop(ident, None)
        return stack[-1]
    return stack.pop()


def size(self):
    """How many items are on the stack."""
    local = self._local
    mine = local.__storage__.get(local.__ident_func__())
    stack = mine.get('stack') if mine is not None else None
    return len(stack) if stack else 0


def top(self):
    """The topmost item on the stack, None if there is none."""
    local = self._local
    mine = local.__storage__.get(local.__ident_func__())
    stack = mine.get('stack') if mine is not None else None
    return stack[-1] if stack else None
