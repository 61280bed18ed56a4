//go:build cgo

package httpcache

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// A flight is one request to the origin whose answer others wait for.
type flight struct {
	head     chan struct{} // closed when what follows is known
	response *http.Response
	entry    *entry // instead of a response: what was validated, or what stands in for one
	status   status
	err      error

	done chan struct{} // closed when the answer is kept, or is known not to be
}

// flights by where the answer would be kept.
type flights struct {
	mutex sync.Mutex
	byKey map[string]*flight
}

// join returns the flight under the key, which is the caller's to fly if it is new.
func (f *flights) join(key string) (joined *flight, isNew bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if joined = f.byKey[key]; joined != nil {
		return joined, false
	}
	joined = newFlight()
	f.byKey[key] = joined
	return joined, true
}

func newFlight() *flight { return &flight{head: make(chan struct{}), done: make(chan struct{})} }

func (f *flights) end(key string, ended *flight) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.byKey[key] == ended {
		delete(f.byKey, key)
	}
}

// A fetch's context belongs to no caller; what is kept in it for the transport is the first caller's.
type detached struct {
	context.Context
	values context.Context
}

func (d detached) Value(key any) any { return d.values.Value(key) }

// A fetch's time: it ends it all, until it is stopped.
func fetchContext(values context.Context, timeout time.Duration) (ctx context.Context, cancel context.CancelFunc, timer *time.Timer) {
	ctx, cancel = context.WithCancel(detached{context.Background(), values})
	return ctx, cancel, time.AfterFunc(timeout, cancel)
}

var (
	errClosed   = errors.New("httpcache: the body was closed")
	errTooLarge = errors.New("httpcache: the body is too large to be kept")
)

// A capture is a body on its way to be kept, which one reader reads meanwhile. It is read from the origin as fast as that
// sends, up to a bound; beyond it nothing is kept, and the reader goes on by himself.
type capture struct {
	mutex   sync.Mutex
	changed chan struct{} // closed, and another, with each change
	data    []byte
	err     error         // not nil: there is no more; io.EOF: that was all
	rest    io.ReadCloser // not nil: what is not captured
	end     func()        // with rest: when nobody reads that any more
	closed  bool          // the reader is gone

	handOver func() (end func())
}

func (c *capture) change(do func()) {
	c.mutex.Lock()
	do()
	close(c.changed)
	c.changed = make(chan struct{})
	c.mutex.Unlock()
}

// finish tells the reader that there is no more.
func (c *capture) finish(err error) {
	if err == errTooLarge { // it is all there, or nobody reads
		err = io.EOF
	}
	c.change(func() { c.err = err })
}

const capturePiece = 32 << 10

// run reads all of it, and hears how it ends: with io.EOF data is the whole body, with nil the reader has the rest. The
// reader hears of an end by finish.
func (c *capture) run(body io.ReadCloser, bytesMax int64, length int64) error {
	piece := make([]byte, capturePiece)
	for {
		count, err := body.Read(piece)
		isOver := int64(len(c.data)+count) > bytesMax
		isAbandoned := false
		if err == io.EOF && length >= 0 && int64(len(c.data)+count) != length {
			err = io.ErrUnexpectedEOF
		}
		c.change(func() {
			c.data = append(c.data, piece[:count]...)
			isAbandoned = c.closed
			if isOver && err == nil && !isAbandoned {
				c.rest, c.end = body, c.handOver()
			}
		})
		if err != nil || (isOver && isAbandoned) {
			body.Close()
			if err == nil || (err == io.EOF && isOver) {
				err = errTooLarge
			}
			return err
		}
		if isOver {
			return nil
		}
	}
}

// A captureReader is the body of the answer to who began the fetch. His context ends his reading alone.
type captureReader struct {
	capture *capture
	ctx     context.Context
	at      int
}

func (r *captureReader) Read(room []byte) (int, error) {
	for {
		c := r.capture
		c.mutex.Lock()
		data, err, rest, changed, closed := c.data, c.err, c.rest, c.changed, c.closed
		c.mutex.Unlock()
		switch {
		case closed:
			return 0, errClosed
		case r.at < len(data):
			count := copy(room, data[r.at:])
			r.at += count
			return count, nil
		case rest != nil:
			return rest.Read(room)
		case err != nil:
			return 0, err
		case len(room) == 0:
			return 0, nil
		}
		select {
		case <-changed:
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		}
	}
}

func (r *captureReader) Close() error {
	var rest io.ReadCloser
	r.capture.change(func() {
		if !r.capture.closed {
			r.capture.closed, rest = true, r.capture.rest
		}
	})
	if rest != nil {
		r.capture.end()
		return rest.Close()
	}
	return nil
}

// A passedBody is one that is not kept: when its reader closes it, or his context ends, so does the request.
type passedBody struct {
	io.ReadCloser
	once sync.Once
	end  func()
}

func (b *passedBody) Close() error {
	err := b.ReadCloser.Close()
	b.once.Do(b.end)
	return err
}
