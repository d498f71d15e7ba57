"""An app that starts a thread and opens a socket when it is imported."""
import socket
import threading

from celery import Celery

app = Celery('threaded', broker='memory://')
server = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(server.getsockname())
threading.Thread(target=threading.Event().wait, name='poller', daemon=True).start()
