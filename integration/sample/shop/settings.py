import os

from .database import Connection

SECRET_KEY = "for tests"
INSTALLED_APPS = ["shop"]
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["SHOP_DATABASE"],
        "CONN_MAX_AGE": None,  # only Celery's fixup closes connections
        "OPTIONS": {"factory": Connection, "timeout": 30},
    }
}
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_BROKER_URL = os.environ["CELERY_BROKER_URL"]
CELERY_RESULT_BACKEND = os.environ["CELERY_RESULT_BACKEND"]
