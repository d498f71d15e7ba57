// Package message is what Celery would publish for a periodic task: made by Celery
// itself, with gaps where each run differs.
//
// # What it is
//
// A Blueprint comes from the app's Python (package app) as texts in which marks
// stand for what only the moment of sending knows: the task id, the delivery tag,
// moments counted from now. Fill puts values in their place and touches no other
// byte, so that serializers, routes and custom headers stay Celery's.
//
// # The text
//
// One line for each part, a word and a value, ended by a newline; the order is this
// one, and the parts that a transport does not need are left out:
//
//	route {"exchange":"","exchange_type":"direct","routing_key":"celery","priority":0,"zone":"UTC","wall":false}
//	declare [{"queue":"celery",…}]
//	envelope {"body": "W1tdLCB7fV0=", …}          kombu's envelope, marked (Redis)
//	inner {"id": …}                               the body within it, marked; only where the envelope has its mark
//	body {"id": …}                                the body, marked, or
//	body64 gAJLAS4=                               the body, base64, with nothing to fill in
//	headers {…}                                   marked (AMQP)
//	properties {…}                                marked (AMQP)
//
// A mark is a letter between two SUB characters (0x1a), which JSON never has in it:
//
//	I          the task id
//	T          the delivery tag
//	B          the inner body, filled, as base64
//	M<number>  the moment that many microseconds after now, as Python's isoformat
//	           writes it in the zone of the route
//
// Moments are counted by elapsed time, or, before Celery 5.7, by the clock on the
// wall ("wall"): an hour after 01:30 is 02:30 there, whatever the clocks did.
//
// # Authority
//
// Celery is right about every byte between the marks. What does not parse is refused
// as a whole; Python then is asked for each message.
//
// # What it does not do
//
// It does not know what the messages mean, and it does not decide whether a message
// can be a Blueprint at all: that is found out in Python, where the reasons are.
package message
