//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a real browser without a window. Whatever a page's scripts throw fails the test.
type browser struct {
	t    *testing.T // of the row that is being played
	base string
	ctx  context.Context

	mu     sync.Mutex
	thrown []string
}

// browsers are the names under which a Chromium may be installed, the smallest first.
var browsers = []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// openBrowser starts one for pages below base.
func openBrowser(t *testing.T, base string) *browser {
	t.Helper()
	var path string
	for _, name := range browsers {
		if path, _ = exec.LookPath(name); path != "" {
			break
		}
	}
	if path == "" {
		t.Fatalf("there is no browser: none of %v is installed (Debian: apt-get install chromium-headless-shell)", browsers)
	}
	// Only loopback pages of this test are opened; as root there is no sandbox to be had.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		// A click on what is still moving is lost: nothing moves.
		chromedp.Flag("force-prefers-reduced-motion", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.WindowSize(1600, 1200))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, leave := chromedp.NewContext(allocator)
	t.Cleanup(leave)
	b := &browser{t: t, base: base, ctx: ctx}
	// This starts it, and it lives as long as this context: no deadline here.
	if err := chromedp.Listen(ctx, b.onEvent); err != nil {
		t.Fatalf("cannot start %s: %v", path, err)
	}
	return b
}

func (b *browser) onEvent(event any) {
	if e, ok := event.(*runtime.EventExceptionThrown); ok {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.thrown = append(b.thrown, thrownText(e.ExceptionDetails))
	}
}

// do carries out steps, each of which waits for the element that it needs.
func (b *browser) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 60*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("the browser cannot %s: %v", what, err)
	}
}

// open shows a page.
func (b *browser) open(path string) {
	b.t.Helper()
	b.do("open "+path, chromedp.Navigate(b.base+path), chromedp.WaitReady(chromedp.CSS("body")))
}

// click presses what a user would press, where no bar at the edge of the page lies above it.
func (b *browser) click(selector string) {
	b.t.Helper()
	centre := fmt.Sprintf(`document.querySelector(%s).scrollIntoView({block: 'center', behavior: 'instant'})`, quoted(selector))
	b.do("click "+selector, chromedp.WaitVisible(chromedp.CSS(selector)), chromedp.Evaluate[chromedp.Void](centre),
		chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// fill replaces the content of a field.
func (b *browser) fill(selector, value string) {
	b.t.Helper()
	b.do("fill "+selector, chromedp.WaitVisible(chromedp.CSS(selector)), chromedp.SetValue(chromedp.CSS(selector), value))
}

// inPage evaluates JavaScript in the page.
func inPage[V any](b *browser, script string) (value V) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 90*time.Second)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[V](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("the browser cannot evaluate %s: %v", script, err)
	}
	return value
}

// soon says whether a condition comes true, looked at from within the page: what a page
// shows is announced to nobody.
func (b *browser) soon(limit time.Duration, script string) bool {
	b.t.Helper()
	return inPage[bool](b, fmt.Sprintf(`(async () => {
		for (const end = Date.now() + %d; Date.now() < end; await new Promise(again => setTimeout(again, 50)))
			if (%s) return true;
		return false;
	})()`, limit.Milliseconds(), script))
}

// until looks at the page again and again until a condition is true.
func (b *browser) until(what, script string) {
	b.t.Helper()
	if !b.soon(60*time.Second, script) {
		b.t.Fatalf("waited in vain for %s; the page shows:\n%s", what, inPage[string](b, `document.body.innerText`))
	}
}

// clean fails when a script has thrown.
func (b *browser) clean() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, thrown := range b.thrown {
		b.t.Errorf("a script of the page threw: %s", thrown)
	}
}

// quoted is a string as JavaScript writes it.
func quoted(text string) string {
	out, err := json.Marshal(text)
	if err != nil {
		panic(fmt.Sprintf("cannot quote %q: %v", text, err))
	}
	return string(out)
}

func thrownText(d *runtime.ExceptionDetails) string {
	if d.Exception != nil && d.Exception.Description != "" {
		return d.Text + ": " + d.Exception.Description
	}
	return d.Text
}
