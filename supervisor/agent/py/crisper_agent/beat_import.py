"""The state of Celery's own scheduler, read once, from a copy of its file."""
import os
import shutil
import tempfile


class Unreadable(Exception):
    """The file is not what Celery's scheduler can use."""


def records(app, filename):
    """{name: (last_run_at, total_run_count)} as PersistentScheduler finds them: it opens
    a copy, so that what it repairs, resets or removes is not the original."""
    from celery.beat import PersistentScheduler
    filename = os.fspath(filename)
    with tempfile.TemporaryDirectory(prefix='crisper-') as place:
        if not copied(filename, place, PersistentScheduler.known_suffixes):
            return {}
        reader = reader_class(PersistentScheduler)(
            app, schedule_filename=os.path.join(place, os.path.basename(filename)))
        reader._store.close()
        return reader.found


def copied(filename, place, suffixes):
    """Each kind of dbm has suffixes of its own."""
    names = [filename + suffix for suffix in suffixes if os.path.isfile(filename + suffix)]
    for name in names:
        shutil.copy(name, place)
    return bool(names)


def reader_class(base):
    class Reader(base):
        found = None

        def merge_inplace(self, schedule):
            """Everything has been checked and nothing changed yet."""
            self.found = {str(name): (entry.last_run_at, entry.total_run_count)
                          for name, entry in self.schedule.items()}

        def install_default_entries(self, schedule):
            pass

        def _destroy_open_corrupted_schedule(self, exc):
            raise Unreadable(f'{self.schedule_filename} is not a schedule of celery beat: {exc!r}') from exc

    return Reader
