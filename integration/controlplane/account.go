package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientapi "k8s.io/client-go/tools/clientcmd/api"

	"crisper/integration/harness"
)

// User is somebody whom the API server knows: a client certificate, or the token of a
// ServiceAccount.
type User struct {
	Name string

	cp        *ControlPlane
	namespace string // of a ServiceAccount, as a pod's own
	config    *rest.Config
}

// Config is the caller's own, for client-go.
func (u *User) Config() *rest.Config { return rest.CopyConfig(u.config) }

// Kubeconfig writes a file for programs, and returns its path.
func (u *User) Kubeconfig() (string, error) { return u.KubeconfigVia(u.cp.Addr()) }

// KubeconfigVia does the same for a proxy on loopback (host:port) in front of the API
// server. TLS is end to end.
func (u *User) KubeconfigVia(addr string) (string, error) {
	auth := clientapi.NewAuthInfo()
	auth.ClientCertificateData, auth.ClientKeyData, auth.Token = u.config.CertData, u.config.KeyData, u.config.BearerToken
	cluster := clientapi.NewCluster()
	cluster.Server, cluster.CertificateAuthorityData = "https://"+addr, u.cp.pki.ca
	here := clientapi.NewContext()
	here.Cluster, here.AuthInfo, here.Namespace = "test", u.Name, u.namespace
	config := clientapi.NewConfig()
	config.Clusters["test"], config.AuthInfos[u.Name], config.Contexts["test"] = cluster, auth, here
	config.CurrentContext = "test"

	name := strings.NewReplacer(":", "-", "/", "-").Replace(u.Name + "-" + addr)
	path := filepath.Join(u.cp.Dir, name+".kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return "", fmt.Errorf("cannot write the kubeconfig of %s: %w", u.Name, err)
	}
	return path, nil
}

// User makes a user with a client certificate. What it may do is up to RBAC.
func (c *ControlPlane) User(name string, groups ...string) (*User, error) {
	cert, key, err := c.pki.client(name, groups)
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate for %s: %w", name, err)
	}
	config := c.config()
	config.CertData, config.KeyData = cert, key
	return &User{Name: name, cp: c, config: config}, nil
}

// config has the address and the authority, and no brake: a test that asks often is
// not to wait for client-go's own limit of 5 requests a second.
func (c *ControlPlane) config() *rest.Config {
	return &rest.Config{Host: c.URL, QPS: -1, TLSClientConfig: rest.TLSClientConfig{CAData: c.pki.ca}}
}

// Namespace makes a new namespace whose name begins so, and returns the name.
func (c *ControlPlane) Namespace(ctx context.Context, prefix string) (string, error) {
	ns, err := c.client.CoreV1().Namespaces().Create(ctx, &core.Namespace{ObjectMeta: meta.ObjectMeta{GenerateName: prefix + "-"}}, meta.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("cannot create a namespace: %w", err)
	}
	return ns.Name, nil
}

// ServiceAccount makes an account in a namespace, gives it a Role with these rules, and
// returns it with a token once the rules hold.
func (c *ControlPlane) ServiceAccount(ctx context.Context, namespace, name string, rules ...rbac.PolicyRule) (*User, error) {
	object := meta.ObjectMeta{Name: name, Namespace: namespace}
	_, err := c.client.CoreV1().ServiceAccounts(namespace).Create(ctx, &core.ServiceAccount{ObjectMeta: object}, meta.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("cannot create the ServiceAccount %s: %w", name, err)
	}
	_, errRole := c.client.RbacV1().Roles(namespace).Create(ctx, &rbac.Role{ObjectMeta: object, Rules: rules}, meta.CreateOptions{})
	_, errBinding := c.client.RbacV1().RoleBindings(namespace).Create(ctx, &rbac.RoleBinding{
		ObjectMeta: object,
		RoleRef:    rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbac.Subject{{Kind: rbac.ServiceAccountKind, Name: name, Namespace: namespace}},
	}, meta.CreateOptions{})
	if err := errors.Join(errRole, errBinding); err != nil {
		return nil, fmt.Errorf("cannot give %s its Role: %w", name, err)
	}
	u, err := c.Account(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	return u, c.untilAllowed(ctx, u, rules)
}

// Account is a ServiceAccount that exists, with a token of an hour, as the kubelet asks
// for one.
func (c *ControlPlane) Account(ctx context.Context, namespace, name string) (*User, error) {
	request := &authentication.TokenRequest{}
	answer, err := c.client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, meta.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("cannot get a token for the ServiceAccount %s: %w", name, err)
	}
	config := c.config()
	config.BearerToken = answer.Status.Token
	return &User{Name: "system:serviceaccount:" + namespace + ":" + name, cp: c, namespace: namespace, config: config}, nil
}

// untilAllowed waits until the authorizer has learned each rule.
func (c *ControlPlane) untilAllowed(ctx context.Context, u *User, rules []rbac.PolicyRule) error {
	for _, rule := range rules {
		if len(rule.Verbs)*len(rule.APIGroups)*len(rule.Resources) == 0 {
			continue // nothing that could be asked in this namespace
		}
		ask := authorization.ResourceAttributes{Namespace: u.namespace, Verb: rule.Verbs[0], Group: rule.APIGroups[0], Resource: rule.Resources[0]}
		if len(rule.ResourceNames) > 0 {
			ask.Name = rule.ResourceNames[0]
		}
		if err := c.UntilAllowed(ctx, u, ask); err != nil {
			return err
		}
	}
	return nil
}

// UntilAllowed waits until the API server would allow a user something: a Role that was
// stored holds a moment later.
func (c *ControlPlane) UntilAllowed(ctx context.Context, u *User, what authorization.ResourceAttributes) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var failed error
	err := harness.Until(ctx, fmt.Sprintf("%s to be allowed to %s %s", u.Name, what.Verb, what.Resource), func() bool {
		var yes bool
		yes, failed = c.Allowed(ctx, u, what)
		return yes || failed != nil
	})
	return errors.Join(err, failed)
}

// Allowed asks the API server whether it would allow a user something.
func (c *ControlPlane) Allowed(ctx context.Context, u *User, what authorization.ResourceAttributes) (bool, error) {
	review := &authorization.SubjectAccessReview{Spec: authorization.SubjectAccessReviewSpec{User: u.Name, ResourceAttributes: &what}}
	answer, err := c.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, meta.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("cannot ask what %s may do: %w", u.Name, err)
	}
	return answer.Status.Allowed, nil
}

// root is the repository.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("cannot tell the working directory: %w", err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("cannot find the repository: no go.mod above the working directory")
}
