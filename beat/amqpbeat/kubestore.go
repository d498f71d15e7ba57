package amqpbeat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"crisper/beat"
	"crisper/beat/internal/kube"
	"crisper/broker"
)

// dataKey is the key of the text in the ConfigMap's binaryData.
const dataKey = "records"

// configMapBytes is what Kubernetes allows for all data of a ConfigMap.
const configMapBytes = 1 << 20

// rolesRead is the default of KubeStore.Patience.
const rolesRead = 10 * time.Second

// KubeStore keeps the text in a ConfigMap; its resourceVersion is the version.
type KubeStore struct {
	// Pace overrides the time between two batches, for tests.
	Pace time.Duration
	// Timeout bounds each request. Default 5 s.
	Timeout time.Duration
	// Patience is how long the API server must say that we may not do something before
	// it is believed: one that has just started refuses everybody until it has read
	// the roles. Default 10 s, and six times as long for what was allowed before.
	Patience time.Duration

	maps    *kube.Objects
	name    string
	last    *configMap         // as it was read or written last; its labels and the like are kept
	refused map[string]refusal // by verb
	allowed map[string]bool    // the verbs that once were
}

// configMap is Kubernetes' own, without the rest of its package, which is large.
type configMap struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Immutable         *bool             `json:"immutable,omitempty"`
	Data              map[string]string `json:"data,omitempty"`
	BinaryData        map[string][]byte `json:"binaryData,omitempty"`
}

// NewKubeStore makes the store of the ConfigMap of this name. It talks to nobody yet.
func NewKubeStore(config *rest.Config, namespace, name string) (*KubeStore, error) {
	maps, err := kube.New(config, schema.GroupVersion{Version: "v1"}, namespace, "configmaps")
	if err != nil {
		return nil, err
	}
	return &KubeStore{maps: maps, name: name, refused: map[string]refusal{}, allowed: map[string]bool{}}, nil
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
	m := new(configMap)
	err := k.maps.Get(ctx, k.name, m)
	switch {
	case apierrors.IsNotFound(err):
		k.last = nil
		k.may("get")
		return nil, "", nil
	case err != nil:
		return nil, "", k.failed("get", err)
	}
	k.may("get")
	k.last = m
	return m.BinaryData[dataKey], m.ResourceVersion, nil
}

// Swap implements Store.
func (k *KubeStore) Swap(ctx context.Context, text []byte, version string) (string, error) {
	ctx, cancel := k.limited(ctx)
	defer cancel()
	m := configMap{ObjectMeta: metav1.ObjectMeta{Name: k.name}}
	if k.last != nil {
		m = *k.last // what the two share is not written to
	}
	m.TypeMeta, m.ResourceVersion = metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}, version
	m.BinaryData = map[string][]byte{dataKey: text}
	var err error
	written, verb := new(configMap), "update"
	if version == "" {
		verb = "create"
		err = k.maps.Create(ctx, m, written)
	} else {
		err = k.maps.Update(ctx, k.name, m, written)
	}
	switch {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), version != "" && apierrors.IsNotFound(err):
		k.may(verb)
		return "", ErrConflict
	case err != nil:
		return "", k.failed(verb, err)
	}
	k.may(verb)
	k.last = written
	return written.ResourceVersion, nil
}

// failed says what was not allowed, or that it may pass.
func (k *KubeStore) failed(verb string, err error) error {
	kind := beat.ErrUnavailable
	switch {
	case !isAnswer(err):
		clear(k.refused) // what another server said, or the same one before it started anew
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		if k.believes(verb) {
			kind = broker.ErrRefused
		}
	case apierrors.IsInvalid(err), apierrors.IsRequestEntityTooLargeError(err), apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err):
		kind = broker.ErrRefused
	}
	return fmt.Errorf("cannot %s ConfigMap %q: %w", verb, k.name, errors.Join(kind, err))
}

// isAnswer: the API server itself has said it.
func isAnswer(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status)
}

// refusal is since when, and when last, the API server said that we may not.
type refusal struct{ since, last time.Time }

// forgotten: between two refusals so far apart nobody asked; they are not one.
const forgotten = time.Minute

// believes notes a refusal, and tells whether it has lasted.
func (k *KubeStore) believes(verb string) bool {
	now, r := time.Now(), k.refused[verb]
	if now.Sub(r.last) > forgotten {
		r.since = now
	}
	r.last = now
	k.refused[verb] = r
	patience := cmp.Or(k.Patience, rolesRead)
	if k.allowed[verb] {
		patience *= 6
	}
	return now.Sub(r.since) >= patience
}

// may notes that the API server lets us.
func (k *KubeStore) may(verb string) {
	k.allowed[verb] = true
	delete(k.refused, verb)
}
