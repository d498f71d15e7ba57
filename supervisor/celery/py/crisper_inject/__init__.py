"""The part of Crisper that runs inside an unmodified Celery worker. Standard library
only; it changes no command line and no setting, and never raises into the app.
"""
