//go:build cgo

package httpcache

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"nuthatch"
)

// Handler caches what next answers to GET, for all who ask: next is to say in Cache-Control what may be kept, and in Vary
// by which request fields it chose. A HEAD is answered from what is kept of the GET, or by next. Of a request that is not
// looked up, next sees the ResponseWriter that there is, with Flush and Hijack. A GET's answer goes through the cache as
// it is written; next may outlive the request that it was called for, as it then works for others, too.
func Handler(store *nuthatch.Store, next http.Handler, options Options) http.Handler {
	return &handler{cache: newCache(store, handlerOrigin{next}, options), next: next}
}

type handler struct {
	cache *cache
	next  http.Handler
}

func (h *handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	scheme := "http"
	if req.TLS != nil {
		scheme = "https"
	}
	origin := scheme + "://" + strings.ToLower(req.Host)
	res, err := h.cache.answer(req, origin)
	if reason, is := err.(passedOn); is {
		how := status{forward: string(reason)}
		how.write(w.Header(), h.cache.now())
		h.pass(w, req, origin)
		return
	}
	if panicked, is := err.(*originPanic); is {
		panic(panicked.value)
	}
	if err != nil { // who asked is gone, or it took too long
		http.Error(w, http.StatusText(http.StatusGatewayTimeout), http.StatusGatewayTimeout)
		return
	}
	defer res.Body.Close()
	header := w.Header()
	for name, values := range res.Header {
		header[name] = values
	}
	w.WriteHeader(res.StatusCode)
	if _, err := copyFlushing(w, res.Body); err != nil {
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}
}

// pass has next answer as if we were not there.
func (h *handler) pass(w http.ResponseWriter, req *http.Request, origin string) {
	if !invalidates(req.Method, http.StatusOK) {
		h.next.ServeHTTP(w, req)
		return
	}
	watched := &watchedWriter{ResponseWriter: w, code: http.StatusOK}
	// Also when next panics: who said that it was done may have done it, and so may who said nothing.
	defer func() { h.cache.wrote(req, origin, watched.code, w.Header()) }()
	h.next.ServeHTTP(watched, req)
}

func copyFlushing(w http.ResponseWriter, body io.Reader) (int64, error) {
	flusher, canFlush := w.(http.Flusher)
	piece := make([]byte, capturePiece)
	var written int64
	for {
		count, err := body.Read(piece)
		if count > 0 {
			if _, writeErr := w.Write(piece[:count]); writeErr != nil {
				return written, nil // the client is gone
			}
			written += int64(count)
		}
		if err == io.EOF {
			return written, nil
		}
		if err != nil {
			return written, err
		}
		if canFlush {
			flusher.Flush()
		}
	}
}

// A watchedWriter knows which status was written; 200 if none was.
type watchedWriter struct {
	http.ResponseWriter
	code      int
	isWritten bool
}

func (w *watchedWriter) WriteHeader(code int) {
	if !w.isWritten && code >= 200 {
		w.code, w.isWritten = code, true
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *watchedWriter) Write(data []byte) (int, error) {
	w.isWritten = true
	return w.ResponseWriter.Write(data)
}

func (w *watchedWriter) Flush() {
	if flusher, is := w.ResponseWriter.(http.Flusher); is {
		flusher.Flush()
	}
}

func (w *watchedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if hijacker, is := w.ResponseWriter.(http.Hijacker); is {
		return hijacker.Hijack()
	}
	return nil, nil, fmt.Errorf("httpcache: %T cannot be hijacked", w.ResponseWriter)
}

// Unwrap is for http.ResponseController.
func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

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
	w.res.Body, w.res.Request = reader, req
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
		if length, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 63); err == nil && length >= 0 {
			w.res.ContentLength = length
		}
		close(w.head)
	})
}

func (w *pipedWriter) Write(data []byte) (int, error) {
	if w.header.Get("Content-Type") == "" {
		w.header.Set("Content-Type", http.DetectContentType(data))
	}
	w.WriteHeader(http.StatusOK)
	return w.body.Write(data)
}

// Flush is there for those who ask for it: all is passed on at once.
func (w *pipedWriter) Flush() { w.WriteHeader(http.StatusOK) }
