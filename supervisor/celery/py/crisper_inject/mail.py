"""The message of a task, as bytes that are understood by another process with the same
Python and kombu (supervisor/agent/py/crisper_agent/record.py). It is told of each task
that is acknowledged early, so it is what costs least: what kombu wrote of it itself, or
else what it made of the message, as it is. The first byte says which.
"""
import marshal

JSON, MARSHAL = b"j", b"m"
VERSION = 4  # of marshal; no version of Python reads another's for sure
LARGEST = 256 << 10  # bytes; what is larger is not kept


def text(message):
    """None where it is too large, or no message that kombu made."""
    written = getattr(message, "crisper_text", None)
    if written is None or len(written) > LARGEST:
        return packed(message)
    return JSON + written.encode("utf-8", "replace")


def packed(message):
    body = getattr(message, "body", None)
    if body is None or len(body) > LARGEST:
        return None
    parts = [message.headers, message.properties, message.delivery_info, message.content_type, message.content_encoding, body]
    try:
        found = marshal.dumps(parts, VERSION)
    except ValueError:  # AMQP's tables may hold dates and decimals
        found = marshal.dumps(plain(parts), VERSION)
    return MARSHAL + found if len(found) <= LARGEST else None


def plain(value):
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if value is None or type(value) in (bool, int, float, str, bytes):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    return str(value)
