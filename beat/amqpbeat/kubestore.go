package amqpbeat

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedv1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"crisper/beat"
	"crisper/broker"
)

// dataKey is the key of the text in the ConfigMap's binaryData.
const dataKey = "records"

// configMapBytes is what Kubernetes allows for all data of a ConfigMap.
const configMapBytes = 1 << 20

// KubeStore keeps the text in a ConfigMap; its resourceVersion is the version.
type KubeStore struct {
	// Client is of the ConfigMap's namespace.
	Client typedv1.ConfigMapInterface
	Name   string
	// Pace overrides the time between two batches, for tests.
	Pace time.Duration
	// Timeout bounds each request. Default 5 s.
	Timeout time.Duration

	last *corev1.ConfigMap // as it was read or written last; its labels and the like are kept
}

// Limits implements Store.
func (k *KubeStore) Limits() Limits {
	pace := k.Pace
	if pace == 0 {
		pace = time.Second
	}
	return Limits{Name: "a ConfigMap", Bytes: configMapBytes, Pace: pace}
}

func (k *KubeStore) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := k.Timeout
	if timeout <= 0 {
		timeout = 5 * time.Second
	}
	return context.WithTimeout(ctx, timeout)
}

// Load implements Store.
func (k *KubeStore) Load(ctx context.Context) ([]byte, string, error) {
	ctx, cancel := k.limited(ctx)
	defer cancel()
	m, err := k.Client.Get(ctx, k.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		k.last = nil
		return nil, "", nil
	}
	if err != nil {
		return nil, "", k.failed("get", err)
	}
	k.last = m
	return m.BinaryData[dataKey], m.ResourceVersion, nil
}

// Swap implements Store.
func (k *KubeStore) Swap(ctx context.Context, text []byte, version string) (string, error) {
	ctx, cancel := k.limited(ctx)
	defer cancel()
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: k.Name}}
	if k.last != nil {
		m = k.last.DeepCopy()
	}
	m.ResourceVersion = version
	m.BinaryData = map[string][]byte{dataKey: text}
	var err error
	verb := "update"
	if version == "" {
		verb = "create"
		m, err = k.Client.Create(ctx, m, metav1.CreateOptions{})
	} else {
		m, err = k.Client.Update(ctx, m, metav1.UpdateOptions{})
	}
	switch {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), version != "" && apierrors.IsNotFound(err):
		return "", ErrConflict
	case err != nil:
		return "", k.failed(verb, err)
	}
	k.last = m
	return m.ResourceVersion, nil
}

// failed says what was not allowed, or that it may pass.
func (k *KubeStore) failed(verb string, err error) error {
	kind := beat.ErrUnavailable
	if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsInvalid(err) || apierrors.IsRequestEntityTooLargeError(err) ||
		apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
		kind = broker.ErrRefused
	}
	return fmt.Errorf("cannot %s ConfigMap %q: %w", verb, k.Name, errors.Join(kind, err))
}
