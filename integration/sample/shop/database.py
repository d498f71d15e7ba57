"""A connection that owns a descriptor, as one to a database server does."""

import os
import sqlite3


class Connection(sqlite3.Connection):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._descriptor = os.open(os.devnull, os.O_RDONLY)

    def fileno(self):
        return self._descriptor


inherited = None  # (pid, connection, descriptor) of the process that opened it


def open_in_parent():
    global inherited
    from django.db import connection

    connection.ensure_connection()
    inherited = (os.getpid(), connection.connection, connection.connection.fileno())


def descriptor_is_open(number):
    try:
        return os.readlink("/proc/self/fd/%d" % number) == os.devnull
    except OSError:
        return False
