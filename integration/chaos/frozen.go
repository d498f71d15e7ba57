package main

import (
	"fmt"
	"io"
	"net"
	"sync"
)

// freezer stands before the broker like toxiproxy, and does what that cannot: it
// freezes the connections that there are and lets new ones work. That is a route
// that has been lost at one end: nobody closes the old connections, ever; a client has
// to find out for itself, and what it had asked may have been done all the same.
type freezer struct {
	listener net.Listener
	target   string

	mu     sync.Mutex
	frozen chan struct{} // closed when the present connections freeze
	open   []net.Conn
}

func newFreezer(target string) (*freezer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("cannot start the freezer: %w", err)
	}
	f := &freezer{listener: listener, target: target, frozen: make(chan struct{})}
	go f.serve()
	return f, nil
}

func (f *freezer) url() string { return "redis://" + f.listener.Addr().String() + "/0" }

// freeze stops all bytes of the connections that there are.
func (f *freezer) freeze() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.frozen)
	f.frozen = make(chan struct{})
}

func (f *freezer) close() {
	f.listener.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.open {
		c.Close()
	}
}

func (f *freezer) serve() {
	for {
		client, err := f.listener.Accept()
		if err != nil {
			return // closed
		}
		server, err := net.Dial("tcp", f.target)
		if err != nil {
			client.Close()
			continue
		}
		f.mu.Lock()
		frozen := f.frozen
		f.open = append(f.open, client, server)
		f.mu.Unlock()
		go pass(server, client, frozen)
		go pass(client, server, frozen)
	}
}

// pass copies until one side closes; once frozen it reads nothing more, and closes
// nothing.
func pass(to, from net.Conn, frozen <-chan struct{}) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-frozen:
			return // what was read is lost on the way
		default:
		}
		if n > 0 {
			_, werr := to.Write(buffer[:n])
			if werr != nil {
				err = werr
			}
		}
		if err != nil {
			if err != io.EOF {
				from.Close()
			}
			to.Close()
			return
		}
	}
}
