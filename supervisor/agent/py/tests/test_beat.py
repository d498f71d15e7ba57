"""The timekeeper's parts against the Celery of this interpreter, where it has one."""
import base64
import datetime
import importlib.util
import json
import os
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from crisper_agent import beat_blueprint, beat_own, beat_timekeeper  # noqa: E402

HAS_CELERY = importlib.util.find_spec('celery') is not None
UTC = datetime.timezone.utc


class Frames(unittest.TestCase):
    def test_entries_go_in_frames_of_moderate_size_and_end_with_an_empty_one(self):
        sent = []
        control = type('Control', (), {'sendall': lambda self, data: sent.append(data)})()
        big = 'x' * (beat_timekeeper.FULL // 2)
        beat_timekeeper.send_entries(control, [({'name': str(i)}, big) for i in range(5)])
        self.assertEqual([len(frame) > 1000 for frame in sent], [True, True, True, False])
        self.assertTrue(all(frame[4] == beat_timekeeper.ENTRIES for frame in sent))
        self.assertEqual(len(sent[-1]), 13)

    def test_what_the_app_raises_is_an_answer(self):
        class Keeper:
            def ask(self, entry, last):
                raise SystemExit('I leave')

        for request in ({'op': 'ask', 'entry': 'a', 'last': 0}, {'op': 'what'}, {}):
            head, blueprint = beat_timekeeper.answer(None, Keeper(), request)
            self.assertTrue(head['error'])
            self.assertEqual(blueprint, '')


class Declarations(unittest.TestCase):
    EXCHANGE = ('exchange', 'x', {'type': 'topic', 'durable': True, 'auto_delete': False, 'arguments': None,
                                  'passive': False})
    QUEUE = ('queue', 'q', {'durable': True, 'exclusive': False, 'auto_delete': False,
                            'arguments': {'x-max-priority': 9}})

    def bind(self, key):
        return 'bind', 'q', {'exchange': 'x', 'routing_key': key, 'arguments': None}

    def test_a_queue_has_one_for_each_binding(self):
        found = beat_blueprint.declarations([self.EXCHANGE, self.QUEUE, self.bind('a'), self.bind('b')])
        self.assertEqual([(d['queue'], d['exchange'], d['exchange_type'], d['routing_key']) for d in found],
                         [('q', 'x', 'topic', 'a'), ('q', 'x', 'topic', 'b')])
        self.assertEqual(found[0]['arguments'], {'x-max-priority': 9})

    def test_a_queue_without_a_binding_and_an_exchange_without_a_queue_are_there(self):
        found = beat_blueprint.declarations([self.EXCHANGE, self.QUEUE])
        self.assertEqual([(d['queue'], d['exchange']) for d in found], [('', 'x'), ('q', '')])


class Zones(unittest.TestCase):
    def test_only_zones_that_others_know_have_a_name(self):
        class Zone(datetime.tzinfo):
            key = None

        self.assertEqual(beat_blueprint.zone_name(UTC), 'UTC')
        self.assertEqual(beat_blueprint.zone_name(Zone()), '')
        zone = Zone()
        zone.key = 'local'
        self.assertEqual(beat_blueprint.zone_name(zone), '')


def make_app(url, **conf):
    from celery import Celery
    app = Celery('test', broker=url, set_as_current=False)
    app.conf.update(conf)

    @app.task(name='test.add', shared=False)
    def add(x, y):
        pass

    app.finalize()
    return app


def make_keeper(app):
    from crisper_agent.beat_keeper import Keeper
    from crisper_agent.beat_load import Loaded, make_service
    beat = app.Beat(quiet=True)
    return Keeper(Loaded(app, beat, make_service(beat), 0.0))


def lines(blueprint):
    return dict(line.split(' ', 1) for line in blueprint.splitlines())


@unittest.skipUnless(HAS_CELERY, 'this Python has no Celery')
class Amqp(unittest.TestCase):
    def blueprint(self, options=None, **conf):
        app = make_app('amqp://guest:guest@127.0.0.1:1//', beat_schedule={
            'one': {'task': 'test.add', 'schedule': 10, 'args': (1, 2), 'options': options or {}}}, **conf)
        (head, blueprint), *_ = make_keeper(app).describe_entries()
        self.assertEqual((head.get('error'), head['ask']), (None, ''))
        return lines(blueprint)

    def test_body_headers_and_properties_are_apart(self):
        found = self.blueprint({'expires': 60, 'priority': 4, 'headers': {'tenant': 7}})
        self.assertEqual(json.loads(base64.b64decode(found['body64']))[:2], [[1, 2], {}])
        headers, properties = json.loads(found['headers'].replace('\x1a', '|')), json.loads(
            found['properties'].replace('\x1a', '|'))
        self.assertEqual((headers['id'], headers['expires'], headers['tenant']), ('|I|', '|M60000000|', 7))
        self.assertEqual(properties, {
            'content_type': 'application/json', 'content_encoding': 'utf-8', 'delivery_mode': 2, 'priority': 4,
            'correlation_id': '|I|', 'reply_to': properties['reply_to'], 'expiration': '60000'})
        self.assertNotIn('envelope', found)

    def test_what_kombu_would_declare_is_told(self):
        (found,) = json.loads(self.blueprint({'queue': 'other'})['declare'])
        self.assertEqual((found['queue'], found['exchange'], found['exchange_type'], found['routing_key']),
                         ('other', 'other', 'direct', 'other'))
        self.assertTrue(found['durable'] and found['exchange_durable'])

    def test_arguments_of_queues_are_as_rabbitmq_takes_them(self):
        from kombu import Exchange, Queue
        found = json.loads(self.blueprint(task_queues=[Queue(
            'celery', Exchange('celery'), routing_key='celery', max_priority=5, expires=3.5, message_ttl=60)])['declare'])
        self.assertEqual(found[0]['arguments'], {'x-max-priority': 5, 'x-expires': 3500, 'x-message-ttl': 60000})

    def test_protocol_1_has_its_marks_in_the_body(self):
        found = self.blueprint({'countdown': 1}, task_protocol=1)
        body = json.loads(found['body'].replace('\x1a', '|'))
        self.assertEqual((body['id'], body['eta']), ('|I|', '|M1000000|'))
        self.assertNotIn('id', json.loads(found['headers']))

    def test_a_header_without_a_json_form_is_asked_for(self):
        app = make_app('amqp://127.0.0.1:1//', beat_schedule={
            'one': {'task': 'test.add', 'schedule': 10, 'args': (1, 2),
                    'options': {'headers': {'at': datetime.datetime(2026, 1, 1)}}}})
        (head, blueprint), *_ = make_keeper(app).describe_entries()
        self.assertIn('has no JSON form', head['ask'])
        self.assertEqual(blueprint, '')


@unittest.skipUnless(HAS_CELERY, 'this Python has no Celery')
class Keeping(unittest.TestCase):
    def test_the_app_is_as_before_after_a_capture(self):
        import celery.app.base
        app = make_app('redis://127.0.0.1:1/0', beat_schedule={'one': {
            'task': 'test.add', 'schedule': 10, 'args': (1, 2), 'options': {'queue': 'q', 'expires': 5}}})
        draw, keeper = celery.app.base.uuid, make_keeper(app)
        for _ in range(2):
            list(keeper.describe_entries())
        keeper.render('one', 'an-id', 0)
        self.assertIs(celery.app.base.uuid, draw)
        self.assertNotIn('now', vars(app))
        self.assertNotIn('on_task_call', vars(app.backend))
        self.assertEqual(keeper.scheduler.schedule['one'].options['queue'], 'q')

    def test_celerys_cleanup_is_there_unless_the_backend_does_it(self):
        for backend, want in (('cache+memory://', False), ('db+sqlite://', True)):
            app = make_app('redis://127.0.0.1:1/0', result_expires=60)
            app.backend.supports_autoexpire = not want
            names = [head['name'] for head, _ in make_keeper(app).describe_entries()]
            self.assertEqual('celery.backend_cleanup' in names, want, backend)

    def test_a_patched_publish_has_no_blueprint(self):
        from kombu import Producer
        app = make_app('redis://127.0.0.1:1/0', beat_schedule={'one': {
            'task': 'test.add', 'schedule': 10, 'args': (1, 2)}})
        keeper, original = make_keeper(app), Producer.publish
        self.addCleanup(setattr, Producer, 'publish', original)
        list(keeper.describe_entries())
        Producer.publish = lambda self, *args, **kwargs: original(self, *args, **kwargs)
        (head, blueprint), *_ = keeper.announce()
        self.assertIn('publish is', head['ask'])
        self.assertEqual(blueprint, '')
        self.assertIsNone(keeper.announce())

    def test_entries_are_compared_only_when_somebody_hears_beat_init(self):
        from celery import signals
        app = make_app('redis://127.0.0.1:1/0', beat_schedule={'one': {
            'task': 'test.add', 'schedule': 10, 'args': (1, 2)}})
        keeper = make_keeper(app)
        list(keeper.describe_entries())
        self.assertIsNone(keeper.seen[-1])

        def change(sender, **kwargs):
            sender.scheduler.schedule['one'].args = (3, 4)
        signals.beat_init.connect(change, weak=False)
        self.addCleanup(signals.beat_init.disconnect, change)
        for known in (True, False):  # it was there when the entries were read, or came later
            if known:
                list(keeper.describe_entries())
            keeper.announced = False
            keeper.scheduler.schedule['one'].args = (1, 2)
            list(keeper.describe_entries())
            if not known:
                keeper.seen = (*keeper.seen[:-1], None)
            (head, blueprint), *_ = keeper.announce()
            self.assertIn('[3, 4]', blueprint)

    def test_moments_in_a_zone_without_a_name_are_asked_for(self):
        zone = datetime.timezone(datetime.timedelta(hours=3))
        app = make_app('redis://127.0.0.1:1/0', beat_schedule={
            'moving': {'task': 'test.add', 'schedule': 10, 'args': (1, 2), 'options': {'expires': 5}},
            'still': {'task': 'test.add', 'schedule': 10, 'args': (1, 2)}})
        app.__dict__['timezone'] = zone
        asked = {head['name']: head['ask'] for head, _ in make_keeper(app).describe_entries()}
        self.assertIn('no name', asked['moving'])
        self.assertEqual(asked['still'], '')


@unittest.skipUnless(HAS_CELERY, 'this Python has no Celery')
class Importing(unittest.TestCase):
    def test_a_file_of_another_time_zone_is_reset_as_celery_does_but_not_in_place(self):
        from celery.beat import PersistentScheduler
        from crisper_agent.beat_import import records
        schedule = {'one': {'task': 'test.add', 'schedule': 10, 'args': (1, 2)}}
        with tempfile.TemporaryDirectory() as place:
            file = os.path.join(place, 'state')
            first = make_app('redis://127.0.0.1:1/0', beat_schedule=schedule, timezone='Europe/London')
            scheduler = PersistentScheduler(first, schedule_filename=file)
            scheduler.reserve(scheduler.schedule['one'])
            scheduler.close()
            other = make_app('redis://127.0.0.1:1/0', beat_schedule=schedule, timezone='Europe/Paris')
            self.assertEqual(records(other, file), {})
            last, count = records(first, file)['one']
            self.assertEqual(count, 1)
            self.assertLess(abs(datetime.datetime.now(UTC) - last), datetime.timedelta(minutes=5))


class Owning(unittest.TestCase):
    @unittest.skipUnless(HAS_CELERY, 'this Python has no Celery')
    def test_only_plain_data_is_plain(self):
        class Text(str):
            pass

        self.assertIsNone(beat_own.odd_one({'a': [1, 'b', (None, {3}), b'c']}))
        for odd in (Text('a'), [object], {'a': {1: [Text('b')]}}, lambda: None):
            self.assertIsNotNone(beat_own.odd_one(odd))


if __name__ == '__main__':
    unittest.main()
