// Package controlplane starts a real Kubernetes control plane for tests: etcd and
// kube-apiserver as processes, on loopback, with a throw-away certificate authority.
//
// # What it is
//
//	Start, Make   a ControlPlane, ready, in a directory of its own
//	User          a client certificate for any user and groups; Admin is system:masters
//	Account       a ServiceAccount with a Role and a token by TokenRequest, as in a pod
//	Kill, Restart kill -9 of the API server, and the same one again on the same port and data
//	Freeze, Thaw  SIGSTOP and SIGCONT of the API server: connections stand, no byte comes
//
// There are no nodes and no controllers: objects are stored, defaulted, validated,
// authorised, and nothing is done about them. Namespaces do not vanish when they are
// deleted, so each test takes a new one (Namespace).
//
// # Authority
//
// Whether a request is allowed is told by the API server's own answer to it. Its
// authorizer learns of a new Role a moment after the Role is stored; Account waits until
// each rule has been seen to hold, so that a test is never too early.
//
// # Where it runs
//
// The API server has one free loopback port, etcd a Unix socket in a directory of ours:
// many control planes run beside each other, and nobody else can reach the data. No
// root, no namespaces and no capabilities are needed.
//
// # Failure
//
// Programs that are missing are named together with the command that builds them. A
// server that does not start is quoted. A failed test keeps the directory with the
// logs. Both servers carry a parent-death signal: they end with the test however that ends.
//
// # What it does not do
//
// Build: integration/tools/cluster.sh does. Keep data over a crash of the machine: etcd
// writes without fsync.
package controlplane
