//go:build cgo

package httpcache

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

// A fetch's context belongs to no caller; what is kept in it for the transport is the first caller's.
type detached struct {
	context.Context
	values context.Context
}

func (d detached) Value(key any) any { return d.values.Value(key) }

// A timer is a *time.Timer, or a test's.
type timer interface {
	Reset(time.Duration) bool
	Stop() bool
}

func afterFunc(d time.Duration, do func()) timer { return time.AfterFunc(d, do) }

// A patience is the context of a fetch, which ends when the origin has been silent for too long.
type patience struct {
	ctx     context.Context
	cancel  context.CancelFunc
	timeout time.Duration
	timer   timer
	isOver  atomic.Bool
}

func (c *cache) newPatience(values context.Context) *patience {
	p := &patience{timeout: c.options.FetchTimeout}
	p.ctx, p.cancel = context.WithCancel(detached{context.Background(), values})
	p.timer = c.after(p.timeout, func() {
		p.isOver.Store(true)
		p.cancel()
	})
	return p
}

// heard is after something came: the silence begins anew.
func (p *patience) heard() { p.timer.Reset(p.timeout) }

func (p *patience) end() {
	p.timer.Stop()
	p.cancel()
}

// told is the error to tell of: the fetch's, or why that is one.
func (p *patience) told(err error) error {
	if err != nil && p.isOver.Load() {
		return ErrFetchTimeout
	}
	return err
}

// handOver makes a fetch the one caller's alone: it takes as long as it takes, and ends with his request, or with the
// function that is returned.
func (p *patience) handOver(req *http.Request) (end func()) {
	p.timer.Stop()
	if req.Context().Done() == nil && req.Cancel == nil {
		return p.cancel
	}
	over := make(chan struct{})
	go func() {
		select {
		case <-req.Context().Done():
		case <-req.Cancel:
		case <-over:
		}
		p.cancel()
	}()
	return func() { close(over) }
}

// gone is why a caller does not wait any more, once his context or his Cancel, which http.Client's Timeout uses, has ended.
func gone(req *http.Request) error {
	if err := req.Context().Err(); err != nil {
		return err
	}
	return context.Canceled
}
