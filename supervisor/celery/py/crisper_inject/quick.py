"""Kombu's JSON in fewer steps. Kombu makes a decoder and an encoder for every message that
comes; here each is made once. That gives the worker back half of the time which the agent
takes for a task.

They answer what kombu's functions answer, and those are still asked about everything that
is not plain. They are used only where kombu's are made as we know them, so that another
kombu, or whoever has put something else there, is left alone.
"""
import json


def encoder(dumps):
    """Of a list, with nothing said about how."""
    defaults = known(dumps, json.dumps, {"dict"})
    if defaults is None or defaults[2] is not None or not issubclass(defaults[1], json.JSONEncoder):
        return dumps
    return defaults[1]().encode


def decoder(loads):
    """Of a text."""
    defaults = known(loads, json.loads, {"isinstance", "memoryview", "tobytes", "decode", "bytearray", "bytes"})
    if defaults is None or defaults[1] is not True or not callable(defaults[2]):
        return loads
    decode = json.JSONDecoder(object_hook=defaults[2]).decode

    def quick(text, *args, **kwargs):
        if type(text) is not str or args or kwargs or text[:1] == "\ufeff":
            return loads(text, *args, **kwargs)
        return decode(text)

    quick.__name__ = loads.__name__
    return quick


def known(function, standard, names):
    """The three defaults of one of kombu.utils.json's functions, the first of which is the
    standard library's; None if it is not as we know it."""
    code, defaults = getattr(function, "__code__", None), getattr(function, "__defaults__", None)
    if code is None or set(code.co_names) != names or defaults is None or len(defaults) != 3:
        return None
    return defaults if defaults[0] is standard and standard.__module__ == "json" else None
