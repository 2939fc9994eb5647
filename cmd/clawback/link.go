package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"clawback/playbooks/host"
)

// endings are the signals that end a program which has not begun to respond.
var endings = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}

// dial connects to a host. The connection hears none of the terminal's signals, so whatever ends
// the program before a response has begun closes it: no login may stay behind.
func (a *app) dial(ctx context.Context, name string) (host.Host, error) {
	ctx, stop := signal.NotifyContext(ctx, endings...)
	defer stop()
	h, err := host.DialSSH(ctx, name, a.sshOptions()...)
	if err != nil {
		return nil, err
	}
	a.closeAtEnd(h)
	return h, nil
}

// closeAtEnd closes a connection when a signal ends the program. A response that begins takes the
// signals over, with begun.
func (a *app) closeAtEnd(h io.Closer) {
	heard, begun := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(heard, endings...)
	a.begun = sync.OnceFunc(func() { signal.Stop(heard); close(begun) })
	go func() { // as long as the program, or until a response begins
		select {
		case s := <-heard:
			_ = h.Close()
			number, _ := s.(syscall.Signal)
			os.Exit(128 + int(number))
		case <-begun:
		}
	}()
}
