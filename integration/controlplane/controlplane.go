package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"crisper/integration/harness"
)

// startTimeout bounds the start of both servers. They take about 4 s on two free
// cores, and many times that on a machine that compiles beside them.
const startTimeout = 2 * time.Minute

// ControlPlane is one etcd with one kube-apiserver.
type ControlPlane struct {
	URL string // https://127.0.0.1:port
	Dir string // logs, certificates, data

	port   int
	socket string // of etcd; in a directory of its own because its path must be short
	pki    *pki
	admin  *rest.Config
	client *kubernetes.Clientset
	etcd   *server
	api    *server
}

// Options of Make. Zero values are the defaults.
type Options struct {
	Bin  string   // folder of etcd and kube-apiserver; default: CRISPER_TEST_CLUSTER_BIN, then .cache/cluster/bin
	Dir  string   // default: a new one under integration/.runs
	Args []string // more options for kube-apiserver
}

// Make starts a control plane and waits until it is ready. The caller closes it.
func Make(ctx context.Context, o Options) (*ControlPlane, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	bin, err := programs(o.Bin)
	if err != nil {
		return nil, err
	}
	c, err := prepare(o)
	if err != nil {
		return nil, err
	}
	if err := c.start(ctx, bin, o.Args); err != nil {
		c.Close()
		return nil, fmt.Errorf("cannot start a control plane (logs in %s): %w", c.Dir, err)
	}
	return c, nil
}

// programs is the folder that has them.
func programs(bin string) (string, error) {
	if bin == "" {
		bin = os.Getenv("CRISPER_TEST_CLUSTER_BIN")
	}
	if bin == "" {
		root, err := root()
		if err != nil {
			return "", err
		}
		bin = filepath.Join(root, ".cache", "cluster", "bin")
	}
	var missing []error
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			missing = append(missing, fmt.Errorf("there is no %s in %s; run integration/tools/cluster.sh", name, bin))
		}
	}
	return bin, errors.Join(missing...)
}

// prepare makes the directories, the certificates and the administrator.
func prepare(o Options) (*ControlPlane, error) {
	c := &ControlPlane{Dir: o.Dir}
	var err error
	if c.Dir == "" {
		if c.Dir, err = runDir(); err != nil {
			return nil, err
		}
	}
	if c.socket, err = os.MkdirTemp("", "crisper-etcd-"); err != nil {
		return nil, fmt.Errorf("cannot create a folder for etcd's socket: %w", err)
	}
	c.socket = filepath.Join(c.socket, "etcd.sock")
	if c.pki, err = newPKI(c.Dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(filepath.Dir(c.socket)))
	}
	return c, nil
}

func runDir() (string, error) {
	root, err := root()
	if err != nil {
		return "", err
	}
	parent := filepath.Join(root, "integration", ".runs")
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", fmt.Errorf("cannot create the folder of test runs: %w", err)
	}
	dir, err := os.MkdirTemp(parent, "controlplane-")
	if err != nil {
		return "", fmt.Errorf("cannot create the folder of a control plane: %w", err)
	}
	return dir, nil
}

// start starts both servers at once: kube-apiserver waits for its etcd.
func (c *ControlPlane) start(ctx context.Context, bin string, more []string) error {
	c.etcd = &server{path: filepath.Join(bin, "etcd"), log: filepath.Join(c.Dir, "etcd.log"), args: c.etcdArgs()}
	if err := c.etcd.start(); err != nil {
		return err
	}
	var err error
	for range 5 { // somebody else may take the free port before we do
		if c.port, err = harness.FreePort(); err != nil {
			return err
		}
		if err = c.connect(); err != nil {
			return err
		}
		c.api = &server{path: filepath.Join(bin, "kube-apiserver"), log: filepath.Join(c.Dir, "kube-apiserver.log"), args: append(c.apiArgs(), more...)}
		err = c.Restart(ctx)
		if err == nil || ctx.Err() != nil || !c.api.said("address already in use") {
			return err
		}
	}
	return err
}

// connect makes the administrator's client for the port.
func (c *ControlPlane) connect() error {
	c.URL = "https://127.0.0.1:" + strconv.Itoa(c.port)
	admin, err := c.User("admin", "system:masters")
	if err != nil {
		return err
	}
	c.admin = admin.Config()
	c.client, err = kubernetes.NewForConfig(c.Admin())
	if err != nil {
		return fmt.Errorf("cannot make a client of the control plane: %w", err)
	}
	return nil
}

// nowhere is what etcd tells other members and clients about itself. There are none:
// it listens on its socket only, yet insists on an address with a port.
const nowhere = "http://127.0.0.1:1"

func (c *ControlPlane) etcdArgs() []string {
	return []string{
		"--name=test", "--data-dir=" + filepath.Join(c.Dir, "etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls=unix://" + c.socket, "--advertise-client-urls=" + nowhere,
		"--listen-peer-urls=unix://" + c.socket + ".peer", "--initial-advertise-peer-urls=" + nowhere,
		"--initial-cluster=test=" + nowhere,
	}
}

func (c *ControlPlane) apiArgs() []string {
	return []string{
		"--etcd-servers=unix://" + c.socket,
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port=" + strconv.Itoa(c.port),
		"--endpoint-reconciler-type=none", // it would refuse to publish a loopback address
		"--tls-cert-file=" + c.pki.path("server.crt"), "--tls-private-key-file=" + c.pki.path("server.key"),
		"--client-ca-file=" + c.pki.path("ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.pki.path("tokens.pub"), "--service-account-signing-key-file=" + c.pki.path("tokens.key"),
		"--authorization-mode=Node,RBAC", "--service-cluster-ip-range=10.96.0.0/16",
		"--allow-privileged=true", "--profiling=false",
	}
}

// Kill is kill -9 of the API server. etcd goes on.
func (c *ControlPlane) Kill() { c.api.end() }

// Restart starts the API server, again after Kill, with the same address and data,
// and waits until it is ready.
func (c *ControlPlane) Restart(ctx context.Context) error {
	if err := c.api.start(); err != nil {
		return err
	}
	var over bool
	err := harness.Until(ctx, "kube-apiserver to be ready", func() bool {
		over = c.api.over() || c.etcd.over()
		return over || c.ready(ctx)
	})
	if over {
		return fmt.Errorf("the control plane has ended:\n%s\n%s", c.etcd.tail(), c.api.tail())
	}
	if err != nil {
		return fmt.Errorf("%w:\n%s", err, c.api.tail())
	}
	return nil
}

// ready: ours is, and not another server that has taken the port, whose certificate
// would not be from our authority.
func (c *ControlPlane) ready(ctx context.Context) bool {
	var code int
	c.client.Discovery().RESTClient().Get().AbsPath("/readyz").Timeout(2 * time.Second).Do(ctx).StatusCode(&code)
	return code == http.StatusOK
}

// Freeze stops the API server without ending it: what a hung machine looks like.
func (c *ControlPlane) Freeze() error { return c.api.signal(syscall.SIGSTOP) }

// Thaw lets it go on.
func (c *ControlPlane) Thaw() error { return c.api.signal(syscall.SIGCONT) }

// Addr is host:port of the API server, for a proxy in front of it.
func (c *ControlPlane) Addr() string { return "127.0.0.1:" + strconv.Itoa(c.port) }

// Admin may do everything. The configuration is the caller's own.
func (c *ControlPlane) Admin() *rest.Config { return rest.CopyConfig(c.admin) }

// Client is the administrator's.
func (c *ControlPlane) Client() *kubernetes.Clientset { return c.client }

// Close ends both servers. The directory stays.
func (c *ControlPlane) Close() {
	c.api.end()
	c.etcd.end()
	os.RemoveAll(filepath.Dir(c.socket))
}

// Remove closes the control plane and deletes its directory.
func (c *ControlPlane) Remove() {
	c.Close()
	os.RemoveAll(c.Dir)
}

// Tails are the ends of both logs, for a failed test.
func (c *ControlPlane) Tails() string { return c.etcd.tail() + "\n" + c.api.tail() }
