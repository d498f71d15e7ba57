package compat

import "crisper/cmd/crisper/internal/options"

// amqpOnly is what RabbitMQ alone has.
const amqpOnly = "Of RabbitMQ, which takes the celery runtime: Celery reads it there."

func generalRows() []Row {
	return []Row{
		{Name: "accept_content", Default: `('json',)`, Who: options.Both, Note: "Content types are checked before a child sees the body."},
		{Name: "enable_utc", Default: `True`, Who: options.Python, Note: "ETAs without an offset are UTC whatever it says, as in Celery."},
		{Name: "imports", Default: `()`, Who: options.Python},
		{Name: "include", Default: `()`, Who: options.Python},
		{Name: "timezone", Default: `None`, Who: options.Python, Note: "ETAs without an offset are UTC whatever it says, as in Celery."},
	}
}

func beatRows() []Row {
	return []Row{
		{Name: "beat_cron_starting_deadline", Default: `None`, Who: options.Harmless, Note: "Of the beat: `crisper beat` honours it."},
		{Name: "beat_enable_remote_control", Default: `False`, New: true, Who: options.Harmless, Note: "Of the beat: nothing answers remote control in `crisper beat`, which warns about it; its probes are HTTP."},
		{Name: "beat_max_loop_interval", Default: `0`, Who: options.Harmless, Note: "Of the beat: `crisper beat` honours it."},
		{Name: "beat_remote_control_max_tick_age", Default: `None`, New: true, Who: options.Harmless, Note: "Of the beat: nothing answers remote control in `crisper beat`, which warns about it; its probes are HTTP."},
		{Name: "beat_schedule", Default: `{}`, Who: options.Harmless, Note: "Of the beat: `crisper beat` honours it."},
		{Name: "beat_schedule_filename", Default: `'celerybeat-schedule'`, Who: options.Harmless, Note: "Of the beat: `crisper beat` honours it."},
		{Name: "beat_scheduler", Default: `'celery.beat:PersistentScheduler'`, Who: options.Harmless, Note: "Of the beat: `crisper beat` honours it."},
		{Name: "beat_sync_every", Default: `0`, Who: options.Harmless, Note: "Of the beat: `crisper beat` records every tick at once."},
	}
}

func brokerRows() []Row {
	return []Row{
		{Name: "broker_channel_error_retry", Default: `False`, Who: options.Harmless, Note: "Whatever breaks the connection is retried as broker_connection_retry says."},
		{Name: "broker_connection_max_retries", Default: `100`, Who: options.Both},
		{Name: "broker_connection_retry", Default: `True`, Who: options.Both},
		{Name: "broker_connection_retry_on_startup", Default: `None`, Who: options.Both},
		{Name: "broker_connection_timeout", Default: `4`, Who: options.Both},
		{Name: "broker_failover_strategy", Default: `None`, Who: options.Both, Note: "round-robin and shuffle; any other takes the celery runtime."},
		{Name: "broker_heartbeat", Default: `120`, Who: options.Harmless, Note: amqpOnly},
		{Name: "broker_heartbeat_checkrate", Default: `3.0`, Who: options.Harmless, Note: amqpOnly},
		{Name: "broker_host", Default: `None`, Who: options.Both, Note: "Parts of the URL; Celery puts them together."},
		{Name: "broker_login_method", Default: `None`, Who: options.Harmless, Note: amqpOnly},
		{Name: "broker_native_delayed_delivery_queue_type", Default: `'quorum'`, New: true, Who: options.Harmless, Note: amqpOnly},
		{Name: "broker_password", Default: `None`, Who: options.Both, Note: "Parts of the URL; Celery puts them together."},
		{Name: "broker_pool_acquire_timeout", Default: `None`, New: true, Who: options.Python, Note: "Of the connections that tasks send with."},
		{Name: "broker_pool_limit", Default: `10`, Who: options.Python, Note: "Of the connections that tasks send with."},
		{Name: "broker_port", Default: `None`, Who: options.Both, Note: "Parts of the URL; Celery puts them together."},
		{Name: "broker_read_url", Default: `None`, Who: options.Both, Note: "redis, rediss, sentinel and redis+socket, as a list or with `;`; any other transport takes the celery runtime."},
		{Name: "broker_transport", Default: `None`, Who: options.Both, Note: "redis, rediss, sentinel and redis+socket, as a list or with `;`; any other transport takes the celery runtime."},
		{Name: "broker_transport_options", Default: `{}`, Who: options.Both, Note: "A value that is Python code takes the celery runtime; an unknown option is warned about."},
		{Name: "broker_url", Default: `None`, Who: options.Both, Note: "redis, rediss, sentinel and redis+socket, as a list or with `;`; any other transport takes the celery runtime."},
		{Name: "broker_use_ssl", Default: `False`, Who: options.Both},
		{Name: "broker_user", Default: `None`, Who: options.Both, Note: "Parts of the URL; Celery puts them together."},
		{Name: "broker_vhost", Default: `None`, Who: options.Both, Note: "Parts of the URL; Celery puts them together."},
		{Name: "broker_write_url", Default: `None`, Who: options.Later, Note: "what tasks send goes there, but the worker's own events go to the broker that it reads from"},
	}
}

func controlRows() []Row {
	return []Row{
		{Name: "control_exchange", Default: `'celery'`, Who: options.Crisper},
		{Name: "control_queue_durable", Default: `False`, New: true, Who: options.Harmless, Note: "Of the queue for remote control; on Redis there is none, commands are published."},
		{Name: "control_queue_exclusive", Default: `True`, New: true, Who: options.Harmless, Note: "Of the queue for remote control; on Redis there is none, commands are published."},
		{Name: "control_queue_expires", Default: `10.0`, Who: options.Harmless, Note: "Of the queue for remote control; on Redis there is none, commands are published."},
		{Name: "control_queue_ttl", Default: `300.0`, Who: options.Harmless, Note: "Of the queue for remote control; on Redis there is none, commands are published."},
		{Name: "event_exchange", Default: `'celeryev'`, Who: options.Crisper},
		{Name: "event_queue_durable", Default: `False`, New: true, Who: options.Harmless, Note: "Of those who listen to events."},
		{Name: "event_queue_exclusive", Default: `True`, New: true, Who: options.Harmless, Note: "Of those who listen to events."},
		{Name: "event_queue_expires", Default: `60.0`, Who: options.Harmless, Note: "Of those who listen to events."},
		{Name: "event_queue_prefix", Default: `'celeryev'`, Who: options.Harmless, Note: "Of those who listen to events."},
		{Name: "event_queue_ttl", Default: `5.0`, Who: options.Harmless, Note: "Of those who listen to events."},
		{Name: "event_serializer", Default: `'json'`, Who: options.Harmless, Note: "Events are JSON, which every receiver accepts beside its own."},
	}
}
