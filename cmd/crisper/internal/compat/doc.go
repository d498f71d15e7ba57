// Package compat knows what becomes of everything that Celery's worker can be told:
// it decides which runtime an app needs, refuses what cannot be had, and is the
// source of docs/reference/compatibility.md.
//
// # What it is
//
// Options are in package options; here are the settings of celery.app.defaults
// (table_*.go), the settings that Celery reads beside them, and the environment
// variables, one row each: who honours it, and why it is so where that is not plain.
// Judge acts on the rows, the page prints them, and tests compare them with the
// golden lists of the oldest and the newest supported Celery and with what is
// installed: a setting that a release adds turns them red.
//
//	the app changed a setting that is …      Judge
//	Crisper, the app, both, accepted         goes on
//	accepted, warns                          goes on and warns with the note
//	celery runtime                           takes that runtime (auto), or refuses (native)
//	refused                                  refuses with the note, exit code 2
//	not in the table (a newer Celery)        goes on and warns
//
// # Who is right
//
// Python says what the app is: which settings differ from Celery's defaults, and
// what it needs that only Celery's own worker has (crisper_agent/needs.py). What a
// setting means here is decided in the table. The command line alone decides where
// it is enough (--runtime, -P gevent): then the app is not asked.
//
// # What it deliberately does not do
//
// It reads no value of a setting: that is done where the value is used. It does not
// look at a setting for the celery runtime, where Celery reads all of them itself.
package compat
