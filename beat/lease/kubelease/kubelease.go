package kubelease

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"crisper/beat/internal/kube"
	"crisper/beat/lease/election"

	coordination "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const tokenAnnotation = "crisper.dev/token"

// Backend is a lease.Backend.
type Backend struct {
	leases          *kube.Objects
	namespace, name string

	mu   sync.Mutex
	seen *coordination.Lease // as last read or written: labels of others and all
}

// Read returns the record. It asks the API server for what is stored, not for what
// its cache has.
func (b *Backend) Read(ctx context.Context) (election.Record, error) {
	l := new(coordination.Lease)
	err := b.leases.Get(ctx, b.name, l)
	if apierrors.IsNotFound(err) {
		return election.Record{}, nil
	}
	if err != nil {
		return election.Record{}, b.explain("get", err)
	}
	return b.see(l), nil
}

// Write creates the Lease or replaces it as it was read.
func (b *Backend) Write(ctx context.Context, prev, next election.Record) (election.Record, error) {
	wanted, known := b.base(prev)
	if !known {
		return next, fmt.Errorf("cannot update %s: %w", b, election.ErrConflict)
	}
	fill(wanted, next)
	l, verb := new(coordination.Lease), "update"
	var err error
	if prev.Version == "" {
		verb = "create"
		err = b.leases.Create(ctx, wanted, l)
	} else {
		err = b.leases.Update(ctx, b.name, wanted, l)
	}
	switch {
	case err != nil:
		return next, b.explain(verb, err)
	case l.ResourceVersion == prev.Version:
		// Then nobody has seen a renewal. Not reached unless the clock shows the same
		// microsecond twice.
		return next, fmt.Errorf("cannot %s %s: the API server saw no change", verb, b)
	}
	return b.see(l), nil
}

// base is the object that a write starts from, with what others have put on it. One
// that is not the last that we have seen has been replaced since.
func (b *Backend) base(prev election.Record) (*coordination.Lease, bool) {
	if prev.Version == "" {
		return &coordination.Lease{ObjectMeta: meta.ObjectMeta{Name: b.name, Namespace: b.namespace}}, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen == nil || b.seen.ResourceVersion != prev.Version {
		return nil, false
	}
	return b.seen.DeepCopy(), true
}

func (b *Backend) see(l *coordination.Lease) election.Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = l
	return fromLease(l)
}

func fill(l *coordination.Lease, next election.Record) {
	l.TypeMeta = meta.TypeMeta{Kind: "Lease", APIVersion: coordination.SchemeGroupVersion.String()}
	seconds := int32(max(1, math.Ceil(next.Duration.Seconds()))) // the API server wants more than 0, also when nobody holds it
	transitions := int32(min(next.Token, math.MaxInt32))
	renewed := meta.NewMicroTime(next.Renewed)
	if next.Token != fromLease(l).Token {
		l.Spec.AcquireTime = &renewed
	}
	l.Spec.HolderIdentity = nil
	if next.Holder != "" {
		l.Spec.HolderIdentity = &next.Holder
	}
	l.Spec.LeaseDurationSeconds, l.Spec.LeaseTransitions, l.Spec.RenewTime = &seconds, &transitions, &renewed
	if l.Annotations == nil {
		l.Annotations = map[string]string{}
	}
	l.Annotations[tokenAnnotation] = strconv.FormatUint(next.Token, 10)
}

func fromLease(l *coordination.Lease) election.Record {
	r := election.Record{Version: l.ResourceVersion}
	if l.Spec.HolderIdentity != nil {
		r.Holder = *l.Spec.HolderIdentity
	}
	if l.Spec.LeaseDurationSeconds != nil {
		r.Duration = time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second
	}
	if l.Spec.RenewTime != nil {
		r.Renewed = l.Spec.RenewTime.Time
	}
	if l.Spec.LeaseTransitions != nil {
		r.Token = uint64(max(0, *l.Spec.LeaseTransitions))
	}
	// An annotation that is no number was not written by us: the other is believed.
	if token, err := strconv.ParseUint(l.Annotations[tokenAnnotation], 10, 64); err == nil {
		r.Token = max(r.Token, token)
	}
	return r
}

// explain tells a conflict and a refusal from what may pass.
func (b *Backend) explain(verb string, err error) error {
	switch {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), verb == "update" && apierrors.IsNotFound(err):
		return fmt.Errorf("cannot %s %s: %w", verb, b, election.ErrConflict)
	case apierrors.IsForbidden(err):
		return election.Refuse("missing permission: %s leases.coordination.k8s.io/%s in namespace %s (%v)", verb, b.name, b.namespace, reason(err))
	case apierrors.IsUnauthorized(err):
		return election.Refuse("cannot %s %s: the API server does not accept our credentials: %v", verb, b, reason(err))
	case apierrors.IsNotFound(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return election.Refuse("cannot %s %s: %v", verb, b, reason(err))
	}
	return fmt.Errorf("cannot %s %s: %w", verb, b, err)
}

// reason is the API server's own sentence.
func reason(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Message != "" {
		return status.Status().Message
	}
	return err.Error()
}

func (b *Backend) String() string { return "Lease " + b.namespace + "/" + b.name }

// Close does nothing: idle connections close themselves.
func (b *Backend) Close() error { return nil }
