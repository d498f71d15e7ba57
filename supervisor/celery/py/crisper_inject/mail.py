"""The message of a task, as bytes that the same Python reads in another process
(supervisor/agent/py/crisper_agent/record.py). It is packed for each task that is
acknowledged early, so it is what costs least: what kombu made of the message, as it is.
"""
import marshal

VERSION = 4  # of marshal; no version of Python reads another's for sure
LARGEST = 256 << 10  # bytes; what is larger is not kept


def packed(message):
    """None where it is too large, or no message that kombu made."""
    body = getattr(message, "body", None)
    if body is None or len(body) > LARGEST:
        return None
    parts = [message.headers, message.properties, message.delivery_info, message.content_type, message.content_encoding, body]
    try:
        text = marshal.dumps(parts, VERSION)
    except ValueError:  # AMQP's tables may hold dates and decimals
        text = marshal.dumps(plain(parts), VERSION)
    return text if len(text) <= LARGEST else None


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
