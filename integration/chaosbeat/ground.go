package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	rbac "k8s.io/api/rbac/v1"

	"crisper/integration/controlplane"
	"crisper/integration/harness"
)

// Kinds of elections and brokers.
const (
	byKubernetes, byRedis, byFile = "kubernetes", "redis", "file"
	onRedis, onRabbitMQ           = "redis", "rabbitmq"
)

// ground is what all rows share.
type ground struct {
	election, broker string
	bed              *harness.Bed
	plane            *controlplane.ControlPlane // nil: nobody needs one
	skewed           *skewedBinary
	rabbit           string // address of RabbitMQ, where that is a broker
	stalls           *stalls
}

func layGround(ctx context.Context, election string, brokers []string) (*ground, error) {
	bed, err := harness.Make(harness.Options{Name: "chaosbeat"})
	if err != nil {
		return nil, err
	}
	g := &ground{election: election, bed: bed, skewed: &skewedBinary{}, stalls: &stalls{}}
	watching, stop := context.WithCancel(context.Background())
	bed.OnClose(stop)
	go g.stalls.watch(watching)
	if election == byKubernetes {
		g.plane, err = controlplane.Make(ctx, controlplane.Options{})
	}
	if err == nil && slices.Contains(brokers, onRabbitMQ) {
		g.rabbit, err = startServer(ctx, bed)
	}
	if err != nil {
		g.remove()
		return nil, err
	}
	return g, nil
}

// on is the same ground with one of its brokers.
func (g *ground) on(broker string) *ground {
	of := *g
	of.broker = broker
	return &of
}

// apart is the same ground with a control plane that no other row stands on.
func (g *ground) apart(ctx context.Context) (*ground, error) {
	of := *g
	var err error
	of.plane, err = controlplane.Make(ctx, controlplane.Options{})
	return &of, err
}

func (g *ground) remove() {
	if g.plane != nil {
		g.plane.Remove()
	}
	g.bed.Remove()
}

// broker is what carries the messages.
type broker interface {
	source
	url() string
	env() []string
	// breakIt is the row in which the broker goes away and comes back.
	breakIt(ctx context.Context, b *book) error
}

// leaseName is that of the Lease and of the schedule.
const leaseName = "chaos"

// set is the ground of one row.
type set struct {
	ground   *ground
	bed      *harness.Bed
	broker   broker
	book     *book
	grid     *grid
	replicas []*replica
	account  *controlplane.User
}

const replicas = 3

// newSet starts everything and waits until it is whole. skews are by how many
// seconds the clocks of the replicas are wrong.
func newSet(ctx context.Context, g *ground, name string, skews []int) (*set, error) {
	bed, err := harness.Make(harness.Options{Name: "chaosbeat-" + name})
	if err != nil {
		return nil, err
	}
	s := &set{ground: g, bed: bed, book: &book{}}
	if err := s.lay(ctx, skews); err != nil {
		err = fmt.Errorf("%w\n%s", err, bed.Tails(8))
		bed.Close()
		return nil, err
	}
	return s, nil
}

func (s *set) lay(ctx context.Context, skews []int) (err error) {
	if s.broker, err = s.startBroker(ctx); err != nil {
		return err
	}
	reading, stop := context.WithCancel(context.Background())
	over := make(chan struct{})
	s.bed.OnClose(func() { stop(); <-over })
	go func() { defer close(over); s.book.follow(reading, s.broker) }()
	if s.ground.plane != nil {
		if err := s.admit(ctx); err != nil {
			return err
		}
	}
	for i := range replicas {
		if err := s.seat(ctx, i, skews); err != nil {
			return err
		}
	}
	leader, err := s.whole(ctx)
	if err != nil {
		return err
	}
	return errors.Join(s.checkClocks(ctx, skews), s.plot(ctx, leader))
}

// checkClocks sees that the clocks are as wrong as they should be.
func (s *set) checkClocks(ctx context.Context, skews []int) error {
	for i, skew := range skews {
		state, err := s.replicas[i].state(ctx)
		if err != nil {
			return err
		}
		if off := time.Until(state.Now) - time.Duration(skew)*time.Second; off.Abs() > time.Minute {
			return fmt.Errorf("the clock of %s is wrong by %s, not by %d s", s.replicas[i].name, time.Until(state.Now), skew)
		}
	}
	return nil
}

func (s *set) startBroker(ctx context.Context) (broker, error) {
	if s.ground.broker == onRabbitMQ {
		return newRabbit(s.bed, s.ground.rabbit, filepath.Base(s.bed.Dir))
	}
	return startRedis(ctx, s.bed)
}

// admit makes the account that the replicas run as: it may do what deploy/ gives it.
func (s *set) admit(ctx context.Context) error {
	namespace, err := s.ground.plane.Namespace(ctx, "chaosbeat")
	if err != nil {
		return err
	}
	rule := func(group, kind, name string) []rbac.PolicyRule {
		return []rbac.PolicyRule{
			{APIGroups: []string{group}, Resources: []string{kind}, Verbs: []string{"create"}},
			{APIGroups: []string{group}, Resources: []string{kind}, ResourceNames: []string{name}, Verbs: []string{"get", "update"}},
		}
	}
	rules := rule("coordination.k8s.io", "leases", leaseName)
	if s.ground.broker == onRabbitMQ {
		rules = append(rules, rule("", "configmaps", leaseName+"-records")...)
	}
	s.account, err = s.ground.plane.ServiceAccount(ctx, namespace, "beat", rules...)
	return err
}

// seat makes replica i and starts it.
func (s *set) seat(ctx context.Context, i int, skews []int) error {
	r := &replica{set: s, name: "beat-" + strconv.Itoa(i), binary: s.bed.Binary}
	switch s.ground.election {
	case byKubernetes:
		var err error
		if r.via, err = newProxy(s.bed, s.ground.plane.Addr()); err != nil {
			return err
		}
		kubeconfig, err := s.account.KubeconfigVia(r.via.way.Listen)
		if err != nil {
			return err
		}
		r.args = []string{"--election", byKubernetes, "--kubeconfig", kubeconfig}
	case byRedis:
		r.args = []string{"--election", byRedis}
	case byFile:
		r.args = []string{"--election", byFile, "-s", filepath.Join(s.bed.Dir, "celerybeat-schedule")}
	}
	if i < len(skews) && skews[i] != 0 {
		var err error
		if r.binary, err = s.ground.skewed.get(ctx, s.bed.Root, s.ground.bed.Dir); err != nil {
			return err
		}
		r.env = []string{skewVariable + "=" + strconv.Itoa(skews[i])}
	}
	s.replicas = append(s.replicas, r)
	return r.start()
}

// whole waits until one replica leads, the others know it, and its messages arrive.
func (s *set) whole(ctx context.Context) (*replica, error) {
	var leader *replica
	var trouble error
	err := until(ctx, "one leader and two followers", func() bool {
		asked := time.Now()
		leader, trouble = s.look(ctx)
		if leader == nil {
			return false
		}
		_, flows := s.book.after(asked.Add(-time.Second), func(arrival) bool { return true })
		if !flows {
			trouble = s.book.trouble()
		}
		return flows
	})
	if err != nil && trouble != nil {
		err = fmt.Errorf("%w; %w", err, trouble)
	}
	return leader, err
}

// look returns the leader of a set that is whole, or why it is not.
func (s *set) look(ctx context.Context) (*replica, error) {
	var leader *replica
	holder, followed := "", 0
	for _, r := range s.replicas {
		state, err := r.state(ctx)
		switch {
		case err != nil:
			return nil, err
		case state.Leader && leader != nil:
			return nil, fmt.Errorf("%s and %s say that they lead", leader.name, r.name)
		case state.Leader:
			leader, holder = r, state.Holder
		case state.Phase != "following":
			return nil, fmt.Errorf("%s is %s", r.name, state.Phase)
		}
	}
	for _, r := range s.replicas {
		if state, err := r.state(ctx); err == nil && r != leader && state.LedBy == holder {
			followed++
		}
	}
	if followed != len(s.replicas)-1 || leader == nil {
		return nil, fmt.Errorf("%d follow %q", followed, holder)
	}
	return leader, nil
}

// plot asks the leader for a due moment of each entry.
func (s *set) plot(ctx context.Context, leader *replica) error {
	known := map[string]time.Time{}
	err := until(ctx, "a due moment of each entry", func() bool {
		state, err := leader.state(ctx)
		if err != nil {
			return false
		}
		for _, next := range state.Next {
			known[next.Entry] = next.Due
		}
		for _, sent := range state.Last { // where ticks wait for a slow store, none is to come
			known[sent.Entry] = sent.Due
		}
		maps.DeleteFunc(known, func(entry string, _ time.Time) bool { return periods[entry] == 0 })
		return len(known) == len(periods)
	})
	s.grid = newGrid(leaseName, known)
	return err
}

// until looks every few milliseconds for what nobody announces. Asking a replica takes CPU
// from what is measured, so this is rarer than the harness looks.
func until(ctx context.Context, what string, done func() bool) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited in vain for %s: %w", what, ctx.Err())
		case <-ticker.C:
		}
	}
	return nil
}

// pause waits a random time.
func pause(ctx context.Context, from, to time.Duration) {
	select {
	case <-time.After(from + rand.N(to-from)):
	case <-ctx.Done():
	}
}
