package child

import (
	"bufio"
	"context"
	_ "embed" // the Python side
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"crisper/beat/lease"
	"crisper/supervisor/agent"
)

//go:embed warm.py
var program string

// Config is how `celery beat` is started.
type Config struct {
	Python string   // found by agent.FindPython when empty
	App    string   // what is imported ahead
	Args   []string // after the word celery: -A proj … beat …
	Env    []string // nil: ours
	// Set is what the app sees in its environment in any case.
	Set            map[string]string
	Stdout, Stderr io.Writer
	Starter        agent.Starter // nil: os/exec by itself
	Log            *zap.Logger
}

// Beat keeps a warm child, and has it lead. Lead is called by one goroutine.
type Beat struct {
	cfg    Config
	python string

	mu     sync.Mutex
	warm   *process // nil: none, or it leads
	closed bool
	leads  bool

	reloads chan struct{} // capacity 1: the wish, not how often
}

// New starts the first warm child.
func New(cfg Config) (*Beat, error) {
	if cfg.Env == nil {
		cfg.Env = os.Environ()
	}
	python, err := agent.FindPython(cfg.Python, cfg.Env)
	if err != nil {
		return nil, err
	}
	b := &Beat{cfg: cfg, python: python, reloads: make(chan struct{}, 1)}
	b.ready() // before anybody leads: a second one would be started beside it
	return b, nil
}

// ready sees to it that there is a warm child.
func (b *Beat) ready() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.warm != nil && !b.warm.gone() {
		return
	}
	p, err := b.start()
	if err != nil {
		b.cfg.Log.Error("cannot start a celery beat", zap.Error(err))
		return
	}
	b.warm = p
}

// take hands over the warm child, or a new one.
func (b *Beat) take() (*process, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.warm
	b.warm = nil
	if p != nil && !p.gone() {
		return p, nil
	}
	return b.start()
}

// Ready says that one leads, or is imported and waits.
func (b *Beat) Ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.leads || b.warm != nil && b.warm.imported.Load() && !b.warm.gone()
}

// lead notes whether one leads.
func (b *Beat) lead(yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leads = yes
}

// Reload replaces the children: the next one loads the app anew.
func (b *Beat) Reload() {
	b.mu.Lock()
	old := b.warm
	b.warm = nil
	b.mu.Unlock()
	if old != nil {
		old.end()
	}
	go b.ready()
	select {
	case b.reloads <- struct{}{}:
	default:
	}
}

// Close ends the warm child.
func (b *Beat) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.warm != nil {
		b.warm.end()
	}
}

// Times of a leading child.
const (
	extendEvery = 500 * time.Millisecond
	// killAfter is how long TERM may take: another waits for us.
	killAfter = 800 * time.Millisecond
	// reserve is kept before the moment at which another may lead.
	reserve = 300 * time.Millisecond
	// leastPause and mostPause are between two children that end by themselves.
	leastPause = 500 * time.Millisecond
	mostPause  = 30 * time.Second
	// longEnough: a child that ran so long did not die of its start.
	longEnough = time.Minute
)

// Lead runs it until ctx ends, and returns when it is gone.
func (b *Beat) Lead(ctx context.Context, term lease.Term) error {
	pause := leastPause
	b.lead(true)
	defer b.lead(false)
	for ctx.Err() == nil {
		began := time.Now()
		again := b.one(ctx, term)
		if again {
			continue
		}
		if time.Since(began) > longEnough {
			pause = leastPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, mostPause)
	}
	go b.ready()
	return nil
}

// one runs one child; again says that the next is wanted at once.
func (b *Beat) one(ctx context.Context, term lease.Term) (again bool) {
	p, err := b.take()
	if err != nil {
		b.cfg.Log.Error("cannot start celery beat", zap.Error(err))
		return false
	}
	defer p.end()
	ticker := time.NewTicker(extendEvery)
	defer ticker.Stop()
	p.extend(until(term))
	b.cfg.Log.Info("celery beat leads", zap.Int("pid", p.pid()), zap.Uint64("term", term.Token))
	for {
		select {
		case <-p.ended:
			b.cfg.Log.Error("celery beat has ended; it is started again", zap.Int("pid", p.pid()), zap.String("status", p.status()))
			return false
		case <-ticker.C:
			p.extend(until(term))
		case <-b.reloads:
			b.stop(p, term)
			return true
		case <-ctx.Done():
			b.stop(p, term)
			return false
		}
	}
}

// until is how much longer the child may run.
func until(term lease.Term) time.Duration {
	expiry := term.Expiry()
	if expiry.IsZero() { // a term made by hand
		return time.Minute
	}
	return time.Until(expiry) - reserve
}

// stop ends a leading child in time.
func (b *Beat) stop(p *process, term lease.Term) {
	p.signal(syscall.SIGTERM)
	timer := time.NewTimer(max(0, min(killAfter, until(term))))
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		b.cfg.Log.Warn("celery beat did not end in time and was killed", zap.Int("pid", p.pid()))
		p.signal(syscall.SIGKILL)
		<-p.ended
	}
}

// process is one Python process.
type process struct {
	cmd     *exec.Cmd
	control *os.File
	ended   chan struct{}
	once    sync.Once

	imported atomic.Bool // it has said so
}

func (b *Beat) start() (*process, error) {
	ours, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	// The program comes by stdin: no file to write, nothing long in the process list.
	cmd := exec.Command(b.python, "-", "celery", "beat")
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = strings.NewReader(program), b.cfg.Stdout, b.cfg.Stderr, b.cfg.Env
	cmd.ExtraFiles = []*os.File{theirs} // descriptor 3
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := &process{cmd: cmd, control: ours, ended: make(chan struct{})}
	wait, err := b.launch(cmd)
	if err != nil {
		ours.Close()
		return nil, fmt.Errorf("cannot start %s: %w", b.python, err)
	}
	go func() {
		_ = wait() // how it ended is in ProcessState
		close(p.ended)
	}()
	go p.listen()
	first, err := json.Marshal(map[string]any{"argv": append([]string{"celery"}, b.cfg.Args...), "app": b.cfg.App, "env": b.cfg.Set})
	if err == nil {
		_, err = ours.Write(append(first, '\n'))
	}
	if err != nil && !p.gone() {
		p.end()
		return nil, fmt.Errorf("cannot speak to %s: %w", b.python, err)
	}
	return p, nil
}

// listen waits for the one thing that a child says: that it has imported everything.
func (p *process) listen() {
	if _, err := bufio.NewReader(p.control).ReadString('\n'); err == nil {
		p.imported.Store(true)
	}
}

func (b *Beat) launch(cmd *exec.Cmd) (wait func() error, err error) {
	if b.cfg.Starter != nil {
		return b.cfg.Starter.Start(cmd)
	}
	return cmd.Wait, cmd.Start()
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) gone() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *process) status() string {
	if !p.gone() {
		return "running"
	}
	return p.cmd.ProcessState.String()
}

// signal reaches the child; nothing when it has gone.
func (p *process) signal(sig syscall.Signal) {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return
	}
}

// extend says for how much longer it may run.
func (p *process) extend(left time.Duration) {
	now, err := monotonic()
	if err != nil {
		return // it ends by itself
	}
	// An error is the child's end, which is seen elsewhere.
	_, _ = fmt.Fprintf(p.control, "%.6f\n", (now + left).Seconds())
}

// end closes the socket, at which a child that is still there ends.
func (p *process) end() {
	p.once.Do(func() { _ = p.control.Close() })
}
