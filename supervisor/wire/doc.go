// Package wire is the frame format spoken with the Python agent.
//
// A frame is
//
//	length  uint32, big endian: bytes that follow it (kind, seq and payload)
//	kind    1 byte
//	seq     uint64, big endian: the supervisor's number of the task or request
//	payload length-9 bytes
//
// testdata/ holds golden frames that the tests of both languages read.
//
// # Sockets
//
// Every child has one Unix socketpair. On Linux it is SOCK_SEQPACKET: from the
// supervisor to the child each packet is exactly one frame, so that the kernel
// hands a task either to the child or, when the supervisor takes it back by
// reading from its own duplicate of the child's end, to the supervisor: never
// to both. From the child to the supervisor a packet holds one or more whole
// frames. Elsewhere it is SOCK_STREAM with the same bytes and one task in it at
// most. The zygote's control socket is always SOCK_STREAM; file descriptors
// travel to it as SCM_RIGHTS with the frame's first byte.
//
// A frame larger than MaxInline goes as a Large frame that names a file holding
// the original payload. Children cut their texts and send none.
//
// # Authority and failure
//
// The kernel decides who has a frame: what Reclaim returns the child has not read
// and will not. Because we hold a duplicate of the child's end for that, the
// socket does not end with the child; its exit status does, and then Finish makes the
// reader go through everything that the child had said and end, even when a
// process that the child left behind still holds the socket.
//
// A frame that is cut off, too long, of no kind or without sense is an error
// that says so. It ends the child that sent it and nothing else: every conn has its
// own buffers, and none grows beyond what has really arrived (a packet is at most
// 2 × MaxInline, a batch about 1 MiB).
//
// # Kinds, supervisor to executor
//
//	Task   'T'  uint32 n, n bytes request JSON (all headers, then properties,
//	            reply_to, correlation_id, hostname, delivery_info), byte n,
//	            content type, byte n, content encoding, rest: body
//	Large  'L'  byte kind of the original, rest: path of the file with its payload
//	Exit   'X'  leave when everything before it is done; exit status 0
//
// # Kinds, executor or steward to supervisor
//
//	Hello  'H'  JSON Hello: initialised (after worker_process_init), gives its pid
//	Begun  'B'  empty: the task of this seq starts now
//	Done   'D'  byte Outcome, float64 runtime seconds (big endian), uint32 n,
//	            exception repr, uint32 n, traceback, rest: result repr
//
// # Kinds, supervisor to steward and back
//
//	Request 'R'  uint32 n, n bytes JSON {"op": …}, rest: a Task payload or nothing
//	Answer  'A'  JSON (agent.Answer)
//
// # Kinds, supervisor to zygote
//
//	Options 'O'  JSON agent.Options: what to load; the first frame ever sent
//	Fork    'F'  JSON agent.ForkRequest, with two descriptors: the child's socket,
//	             the child's page
//	Exit    'X'  leave; its children live on
//
// # Kinds, zygote to supervisor
//
//	Loaded  'C'  JSON agent.Info: the app is imported and configured
//	Forked  'K'  JSON {"child": n, "pid": n}
//	Failed  'N'  JSON {"child": n, "error": "…"}: a fork did not happen; child 0:
//	             the app did not load (error is one line, "traceback" is whole)
//	Notice  'W'  JSON {"level": "warning", "message": "…"}
//
// # The page
//
// 4096 bytes of shared memory per child, little endian, for what must be known
// although the other side is busy or dead:
//
//	0   uint64  seq of the task whose body is being run, 0 between tasks (child writes)
//	8   uint64  seq of the task that SIGUSR1 is meant for (supervisor writes); the
//	            signal handler raises SoftTimeLimitExceeded only if both agree
//	16  uint64  not 0: Done frames are to say what tasks returned (supervisor writes)
package wire
