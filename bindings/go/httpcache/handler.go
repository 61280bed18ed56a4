//go:build cgo

package httpcache

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

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
	if _, is := header["Content-Type"]; !is {
		header["Content-Type"] = nil // next has none: nobody is to guess it
	}
	w.WriteHeader(res.StatusCode)
	if _, err := copyFlushing(w, res.Body); err != nil {
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}
	for name, values := range res.Trailer {
		header[http.TrailerPrefix+name] = values
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
