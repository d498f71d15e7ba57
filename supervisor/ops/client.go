package ops

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Client speaks to an Admin.
type Client struct {
	path string
	http *http.Client
}

// NewClient makes a client of the socket at path; nothing is opened yet.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	return &Client{path: path, http: &http.Client{Transport: transport, Timeout: 5 * time.Second}}
}

// State asks for the live state.
func (c *Client) State(ctx context.Context) (State, error) {
	var state State
	body, err := c.do(ctx, http.MethodGet, "/state")
	if err == nil {
		err = json.Unmarshal(body, &state)
	}
	if err != nil {
		return State{}, fmt.Errorf("cannot read the state through %s: %w", c.path, err)
	}
	return state, nil
}

// Drain asks the worker to take nothing more and to leave when it is done.
func (c *Client) Drain(ctx context.Context) error { return c.order(ctx, "drain") }

// Reload asks for the next generation.
func (c *Client) Reload(ctx context.Context) error { return c.order(ctx, "reload") }

func (c *Client) order(ctx context.Context, what string) error {
	if _, err := c.do(ctx, http.MethodPost, "/"+what); err != nil {
		return fmt.Errorf("cannot %s through %s: %w", what, c.path, err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, page string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://crisper"+page, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 {
		return nil, fmt.Errorf("it answered: %s", strings.TrimSpace(string(body)))
	}
	return body, nil
}
