//go:build cgo

package httpcache

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nuthatch"
)

// A world is an origin, a cache in front of it, a client, and a clock that tests move.
type world struct {
	t         *testing.T
	store     *nuthatch.Store
	origin    *httptest.Server
	transport *Transport
	asked     atomic.Int32
	answer    atomic.Value // http.HandlerFunc
	mutex     sync.Mutex
	now       time.Time
	timers    map[*worldTimer]time.Time // when they are due
}

// A worldTimer goes off when the world's clock is moved.
type worldTimer struct {
	w  *world
	do func()
}

func (w *world) after(d time.Duration, do func()) timer {
	t := &worldTimer{w, do}
	t.Reset(d)
	return t
}

func (t *worldTimer) Reset(d time.Duration) bool {
	t.w.mutex.Lock()
	defer t.w.mutex.Unlock()
	_, was := t.w.timers[t]
	t.w.timers[t] = t.w.now.Add(d)
	return was
}

func (t *worldTimer) Stop() bool {
	t.w.mutex.Lock()
	defer t.w.mutex.Unlock()
	_, was := t.w.timers[t]
	delete(t.w.timers, t)
	return was
}

func (w *world) clock() time.Time {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mutex.Lock()
	w.now = w.now.Add(d)
	var due []*worldTimer
	for t, at := range w.timers {
		if !w.now.Before(at) {
			due = append(due, t)
			delete(w.timers, t)
		}
	}
	w.mutex.Unlock()
	for _, t := range due {
		t.do()
	}
}

func newStore(t testing.TB) *nuthatch.Store {
	store, err := nuthatch.New(nuthatch.Options{MemoryBytes: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func newWorld(t *testing.T, options Options) *world {
	w := &world{t: t, store: newStore(t), now: time.Now(), timers: map[*worldTimer]time.Time{}}
	w.origin = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		w.asked.Add(1)
		rw.Header().Set("Date", w.clock().UTC().Format(http.TimeFormat))
		w.answer.Load().(http.HandlerFunc)(rw, req)
	}))
	t.Cleanup(func() {
		w.origin.CloseClientConnections()
		w.origin.Close()
	})
	options.Clock = w.clock
	w.transport = NewTransport(w.store, w.origin.Client().Transport, options)
	w.transport.cache.after = w.after
	return w
}

func (w *world) answers(answer func(http.ResponseWriter, *http.Request)) {
	w.answer.Store(http.HandlerFunc(answer))
}

// gives has the origin answer with a body and "Name: value" lines; what is conditional, with 304 if the ETag is the same.
func (w *world) gives(code int, body string, fields ...string) {
	w.answers(func(rw http.ResponseWriter, req *http.Request) {
		for _, field := range fields {
			name, value, _ := strings.Cut(field, ": ")
			rw.Header().Add(name, value)
		}
		if etag := rw.Header().Get("ETag"); etag != "" && req.Header.Get("If-None-Match") == etag {
			rw.WriteHeader(http.StatusNotModified)
			return
		}
		rw.WriteHeader(code)
		io.WriteString(rw, body)
	})
}

type answer struct {
	code   int
	body   string
	header http.Header
}

func (a *answer) isHit() bool { return strings.Contains(a.header.Get("Cache-Status"), "hit") }

func (w *world) ask(method, path string, fields ...string) answer {
	w.t.Helper()
	a, err := w.try(method, path, fields...)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) try(method, path string, fields ...string) (answer, error) {
	req, err := http.NewRequest(method, w.origin.URL+path, nil)
	if err != nil {
		return answer{}, err
	}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		req.Header.Add(name, value)
	}
	res, err := w.transport.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	w.settle()
	return answer{res.StatusCode, string(body), res.Header}, err
}

// settle waits until what was read is kept.
func (w *world) settle() {
	for _, flight := range w.transport.cache.flights.all() {
		<-flight.done
	}
}

func (f *flights) all() (list []*flight) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for _, flight := range f.byKey {
		list = append(list, flight)
	}
	return list
}

func (w *world) expectAsked(count int32) {
	w.t.Helper()
	if got := w.asked.Swap(0); got != count {
		w.t.Errorf("the origin was asked %d times, not %d", got, count)
	}
}
