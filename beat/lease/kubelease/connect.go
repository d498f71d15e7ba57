package kubelease

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"crisper/beat/internal/kube"

	coordination "k8s.io/api/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// namespaceFile is where a pod finds the namespace of its service account.
var namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// tokenFile is there in a pod that has a service account.
var tokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token"

// InCluster tells whether this process can reach its API server as a pod does.
func InCluster() bool {
	_, err := os.Stat(tokenFile)
	return err == nil && os.Getenv("KUBERNETES_SERVICE_HOST") != "" && os.Getenv("KUBERNETES_SERVICE_PORT") != ""
}

// Open reaches the API server by the kubeconfig, or as a pod does when that is "". The
// namespace is by default that of the kubeconfig's context or of the service account.
func Open(kubeconfig, namespace, name string) (*Backend, error) {
	config, own, err := load(kubeconfig)
	if err != nil {
		return nil, err
	}
	if namespace == "" {
		namespace = own
	}
	return New(config, namespace, name)
}

// New reaches the API server by a configuration.
func New(config *rest.Config, namespace, name string) (*Backend, error) {
	if namespace == "" || name == "" {
		return nil, errors.New("a Lease needs a name and a namespace")
	}
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = 50, 50 // the election bounds itself; client-go's 5 a second would delay it
	config.TLSClientConfig.NextProtos = []string{"http/1.1"}
	if config.UserAgent == "" {
		config.UserAgent = "crisper-beat"
	}
	leases, err := kube.New(config, coordination.SchemeGroupVersion, namespace, "leases")
	if err != nil {
		return nil, err
	}
	return &Backend{leases: leases, namespace: namespace, name: name}, nil
}

func load(kubeconfig string) (*rest.Config, string, error) {
	if kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, "", fmt.Errorf("cannot reach the API server as a pod does: %w", err)
		}
		return config, podNamespace(), nil
	}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig}, nil)
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, "", fmt.Errorf("cannot read the kubeconfig %s: %w", kubeconfig, err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, "", fmt.Errorf("cannot read the namespace of the kubeconfig %s: %w", kubeconfig, err)
	}
	return config, namespace, nil
}

// podNamespace is "" when it cannot be read: then it must be given.
func podNamespace() string {
	text, err := os.ReadFile(namespaceFile)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
