//go:build cgo

package httpcache

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

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
	closed  bool          // the reader is gone

	patience *patience
	req      *http.Request // the reader's
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

func (c *capture) isAbandoned() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.closed
}

const capturePiece = 32 << 10

// run reads all of it, and hears how it ends: with io.EOF data is the whole body, with nil the reader has the rest. The
// reader hears of an end by finish.
func (c *capture) run(body io.ReadCloser, bytesMax int64, length int64) error {
	piece := make([]byte, capturePiece)
	for {
		count, err := body.Read(piece)
		if err == nil && !c.isAbandoned() { // what nobody reads has no more than what is left of the time
			c.patience.heard()
		}
		isOver := int64(len(c.data)+count) > bytesMax
		isAbandoned := false
		if err == io.EOF && length >= 0 && int64(len(c.data)+count) != length {
			err = io.ErrUnexpectedEOF
		}
		c.change(func() {
			c.data = append(c.data, piece[:count]...)
			isAbandoned = c.closed
			if isOver && err == nil && !isAbandoned {
				c.rest = &passedBody{ReadCloser: body, end: c.patience.handOver(c.req)}
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
		case <-c.req.Context().Done():
			return 0, gone(c.req)
		case <-c.req.Cancel:
			return 0, gone(c.req)
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
		return rest.Close()
	}
	return nil
}

// A passedBody is one that is not kept: when it ends, its reader closes it, or his context ends, so does the request.
type passedBody struct {
	io.ReadCloser
	once sync.Once
	end  func()
}

func (b *passedBody) Read(room []byte) (int, error) {
	count, err := b.ReadCloser.Read(room)
	if err != nil {
		b.once.Do(b.end)
	}
	return count, err
}

func (b *passedBody) Close() error {
	err := b.ReadCloser.Close()
	b.once.Do(b.end)
	return err
}
