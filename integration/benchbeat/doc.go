// Command benchbeat compares `crisper beat` with `celery beat` where there are many
// entries.
//
//	make bench-beat
//	go run ./integration/benchbeat -rounds 1 -window 20s
//	go run ./integration/benchbeat -write          # and rewrite docs/benchmarks-beat.md
//
// # What it promises
//
// Both sides load the same app and the same schedule file, one after the other in each
// round, and who goes first changes. The file says of each entry when it ran last, so
// that from a moment on (Begin) the due moments follow one another evenly: a
// beat that has been up for long, without waiting for one to be.
//
// # What is measured
//
// From some seconds after Begin, when both have started, for a window in which no entry
// is due twice. So each entry's due moment is known from the file, and from nobody's account.
//
//	lateness       from the due moment to the moment at which a consumer got the message
//	               from Redis. Of a tick that has not come by the end of the window: up to there,
//	               which is less than it will be
//	published      messages that came in the window
//	CPU            of all processes of the beat, as the kernel's scheduler counts it
//	memory         private, of all processes of the beat, at the end
//
// The start is measured with more entries, for Crisper alone: from the start of the
// process to the first message of an entry that is due ten times a second. The time that
// Python takes to import the app and to make the messages of the entries is what Python says.
//
// # What it deliberately does not do
//
// Fail because something was slow. It fails when a tick came twice.
package main
