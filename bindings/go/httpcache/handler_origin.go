//go:build cgo

package httpcache

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// handlerOrigin has a handler answer as a server would.
type handlerOrigin struct{ next http.Handler }

func (o handlerOrigin) RoundTrip(req *http.Request) (*http.Response, error) {
	reader, writer := io.Pipe()
	w := &pipedWriter{header: http.Header{}, body: writer, head: make(chan struct{})}
	go func() {
		hasReturned := false
		defer func() {
			value := recover()
			if value == nil && !hasReturned { // runtime.Goexit
				value = http.ErrAbortHandler
			}
			if value != nil {
				w.panicked = &originPanic{value}
				writer.CloseWithError(w.panicked)
				w.once.Do(func() { close(w.head) })
				return
			}
			w.WriteHeader(http.StatusOK)
			writer.Close()
		}()
		o.next.ServeHTTP(w, req)
		hasReturned = true
	}()
	select {
	case <-w.head:
	case <-req.Context().Done():
		reader.CloseWithError(req.Context().Err())
		return nil, req.Context().Err()
	}
	if w.res == nil {
		return nil, w.panicked
	}
	w.res.Body, w.res.Request = &pipedBody{reader, w}, req
	return w.res, nil
}

// A pipedWriter is the ResponseWriter of an answer that goes through the cache.
type pipedWriter struct {
	header   http.Header
	body     *io.PipeWriter
	once     sync.Once
	head     chan struct{} // closed when res is there, or will not come
	res      *http.Response
	panicked error
}

func (w *pipedWriter) Header() http.Header { return w.header }

func (w *pipedWriter) WriteHeader(code int) {
	if code < 200 {
		return // of the connection
	}
	w.once.Do(func() {
		w.res = &http.Response{
			StatusCode: code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: w.header.Clone(), ContentLength: -1,
		}
		for _, names := range w.header.Values("Trailer") {
			for _, name := range strings.Split(names, ",") {
				w.declare(http.CanonicalHeaderKey(strings.TrimSpace(name)))
			}
		}
		if length, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 63); err == nil && length >= 0 {
			w.res.ContentLength = length
		}
		close(w.head)
	})
}

// declare is for a trailer whose value comes later.
func (w *pipedWriter) declare(name string) {
	if name == "" {
		return
	}
	if w.res.Trailer == nil {
		w.res.Trailer = http.Header{}
	}
	w.res.Trailer[name] = nil
	w.res.Header.Del(name)
}

// trailer is what the header has for the answer's end, when that is there.
func (w *pipedWriter) trailer() http.Header {
	trailer := http.Header{}
	for name, values := range w.header {
		if _, isDeclared := w.res.Trailer[name]; isDeclared {
			trailer[name] = values
		} else if strings.HasPrefix(name, http.TrailerPrefix) {
			trailer[strings.TrimPrefix(name, http.TrailerPrefix)] = values
		}
	}
	return trailer
}

func (w *pipedWriter) Write(data []byte) (int, error) {
	_, hasType := w.header["Content-Type"]
	if w.res == nil && !hasType && w.header.Get("Content-Encoding") == "" && len(data) > 0 {
		w.header.Set("Content-Type", http.DetectContentType(data))
	}
	w.WriteHeader(http.StatusOK)
	return w.body.Write(data)
}

// Flush is there for those who ask for it: all is passed on at once.
func (w *pipedWriter) Flush() { w.WriteHeader(http.StatusOK) }

// A pipedBody has the trailers known at its end, as a transport's has.
type pipedBody struct {
	*io.PipeReader
	writer *pipedWriter
}

func (b *pipedBody) Read(room []byte) (int, error) {
	count, err := b.PipeReader.Read(room)
	if err == io.EOF {
		b.writer.res.Trailer = b.writer.trailer()
	}
	return count, err
}
