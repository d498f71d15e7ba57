// Package schedule answers one question: given an entry's schedule and a time, when
// is it due next?
//
// # What it is
//
// Pure functions of values. Next is the first due moment after another; Due is what
// to do about those that have passed. Everything is counted from the entry's last
// due moment, so that two replicas that know the same record find the same moments.
//
//	Interval   elapsed time; due moments lie on a grid that does not drift
//	Relative   the same, rounded down to round wall-clock times as Celery 5.7 does
//	Crontab    Celery's five fields, all of which have to match, in a time zone
//	Asked      solar events and custom classes: only the app's Python knows
//
// # Authority
//
// The app's Python is right about what a schedule is. Parse reads what it prints:
//
//	{"kind":"interval","seconds":30.0,"relative":false,"tz":"Europe/Berlin"}
//	{"kind":"crontab","minute":"*/15","hour":[2,3],…,"sets":{"minute":[0,15,30,45],…},"tz":"UTC"}
//	{"kind":"solar",…}  {"kind":"opaque",…}
//
// The sets are as Celery expanded them, so each app keeps its own version's parser;
// what its author wrote is kept for people to read, and for byRealTime (below). A
// relative interval without tz is Asked. ParseCrontab is Celery 5.7's own
// parser, for where there is no Python. It takes names in any field, ranges that go
// round the end, no 7 for Sunday, and no date that never comes.
//
// Time zones are Go's, embedded. One that Go does not know is an error.
//
// # The rule for crontabs
//
// Celery's: take what the clock on the wall shows at last, find the next minute of
// the wall clock that matches, and ask when the clock shows it for the first time.
// A time that the clock jumps over is when it would have been without the jump.
// Tests against Celery itself find no difference but the last two rows' here.
//
//	Europe/Berlin, clocks changed               Celery 5.7              here
//	30 2 * * *    forward at 02:00              03:30, once             03:30, once
//	0,30 2 * * *  forward                       03:00, once             03:00, once
//	*/15 * * * *  forward, last 01:45           03:00                   03:00
//	*/15 2 * * *  forward                       03:00, once             03:00, once
//	30 2 * * *    back at 03:00                 the first 02:30         the first 02:30
//	*/15 * * * *  back, last the first 02:45    03:00: an hour without  the second 02:00
//	any           back, last in the second      a moment that is over:  the next that
//	              time of the hour              sent in a busy loop     is not over
//
// The last two are deliberate differences (celery issue #10107, and pull request
// #10608, which tells of moments that are over). What follows a rhythm keeps it by
// real time through the hour that comes twice: its minute or hour is a star, has a
// step, or lists all values. What names its times (30 2 * * *) fires once
// for each date and time: the first time it is shown.
//
// # Gaps
//
// Celery sends one message for a gap of any length. Here Policy.Window is the length
// up to which a gap is made up tick by tick, so that a change of leader does not
// show; a longer one gets one tick, with the latest due moment. The deadline is
// Celery 5.7's: what was due longer ago is dropped, what was due just then is not.
// The count of dropped ticks is exact but for a clock change, where that of a crontab
// is what the clock showed, and for relative intervals, where it goes by elapsed time.
//
// # What it deliberately does not do
//
// It does not read a clock, and knows no entry's name. An interval of nothing is
// refused, although Celery takes it and sends without a pause; so is a crontab
// whose set is empty, which Celery fails on at every turn.
package schedule
