//go:build cgo

package httpcache

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
)

func get(t *testing.T, h http.Handler, method, path string, fields ...string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequest(method, path, nil)
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		req.Header.Add(name, value)
	}
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, req)
	for _, flight := range h.(*handler).cache.flights.all() {
		<-flight.done
	}
	return recorder
}

func TestAHandlersAnswersAreKept(t *testing.T) {
	var calls atomic.Int32
	handler := Handler(newStore(t), http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		calls.Add(1)
		rw.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprintf(rw, "%s %s", req.Host, req.URL)
	}), Options{})
	for i := 0; i < 2; i++ {
		got := get(t, handler, "GET", "http://a.example/b?c=d")
		if got.Code != 200 || got.Body.String() != "a.example http://a.example/b?c=d" ||
			!strings.HasPrefix(got.Header().Get("Content-Type"), "text/plain") {
			t.Errorf("%d: %d %q %v", i, got.Code, got.Body, got.Header())
		}
	}
	if get(t, handler, "GET", "http://b.example/b?c=d").Body.String() != "b.example http://b.example/b?c=d" {
		t.Error("hosts are not apart")
	}
	if get(t, handler, "HEAD", "http://a.example/b?c=d").Body.Len() != 0 {
		t.Error("a HEAD has a body")
	}
	if calls.Load() != 2 {
		t.Errorf("%d calls", calls.Load())
	}
}

func TestAHandlerThatSaysNothingIsAlwaysCalled(t *testing.T) {
	var calls atomic.Int32
	handler := Handler(newStore(t), http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		calls.Add(1)
		switch req.URL.Path {
		case "/cookie":
			http.SetCookie(rw, &http.Cookie{Name: "a", Value: "b"})
			rw.Header().Set("Cache-Control", "max-age=60")
		case "/status":
			rw.WriteHeader(http.StatusTeapot)
		}
	}), Options{})
	for _, path := range []string{"/", "/", "/cookie", "/cookie", "/status"} {
		got := get(t, handler, "GET", path)
		if path == "/status" && got.Code != http.StatusTeapot {
			t.Error(got.Code)
		}
	}
	if calls.Load() != 5 {
		t.Errorf("%d calls", calls.Load())
	}
}

func TestAHandlersWritesForgetItsAnswers(t *testing.T) {
	value := "old"
	handler := Handler(newStore(t), http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if req.Method == "PUT" {
			body, _ := io.ReadAll(req.Body)
			value = "new" + string(body)
			return
		}
		rw.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(rw, value)
	}), Options{})
	get(t, handler, "GET", "/")
	get(t, handler, "PUT", "/")
	if got := get(t, handler, "GET", "/"); got.Body.String() != "new" {
		t.Errorf("%q", got.Body)
	}
}

func TestAHandlersWriteThatPanicsForgetsWhatItMayHaveChanged(t *testing.T) {
	for _, c := range []struct {
		code     int
		isForgot bool
	}{{0, true}, {200, true}, {303, true}, {404, false}, {500, false}} {
		for _, ends := range []func(){func() { panic(http.ErrAbortHandler) }, runtime.Goexit} {
			handler := Handler(newStore(t), http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
				if req.Method == "GET" {
					rw.Header().Set("Cache-Control", "max-age=60")
					return
				}
				if c.code != 0 {
					rw.WriteHeader(c.code)
				}
				ends()
			}), Options{})
			get(t, handler, "GET", "/")
			over := make(chan struct{})
			go func() {
				defer close(over)
				defer func() { recover() }()
				handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("PUT", "/", nil))
			}()
			<-over
			if isKept := strings.Contains(get(t, handler, "GET", "/").Header().Get("Cache-Status"), "hit"); isKept == c.isForgot {
				t.Errorf("%d: kept is %v", c.code, isKept)
			}
		}
	}
}

func TestAHandlersPanicIsItsCallers(t *testing.T) {
	handler := Handler(newStore(t), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oh") }), Options{})
	defer func() {
		if value := recover(); value != "oh" {
			t.Errorf("%v", value)
		}
	}()
	get(t, handler, "GET", "/")
}

func TestAHandlerThatBreaksOffBreaksTheAnswerOff(t *testing.T) {
	store := newStore(t)
	handler := Handler(store, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(rw, "half")
		panic(http.ErrAbortHandler)
	}), Options{})
	server := httptest.NewServer(handler)
	defer server.Close()
	res, err := server.Client().Get(server.URL)
	if err == nil {
		defer res.Body.Close()
		if body, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("%q seems whole", body)
		}
	}
	if count, _ := store.Count(); count != 0 {
		t.Error("it is kept")
	}
}

func TestAHandlersStreamIsNotHeldBack(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(Handler(newStore(t), http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		io.WriteString(rw, "first")
		rw.(http.Flusher).Flush()
		<-release
		io.WriteString(rw, " second")
	}), Options{}))
	defer server.Close()
	res, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	first := make([]byte, 5)
	if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "first" {
		t.Errorf("%q %v", first, err)
	}
	close(release)
	if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != " second" {
		t.Errorf("%q %v", rest, err)
	}
}

func TestWhatIsNotLookedUpCanBeHijacked(t *testing.T) {
	server := httptest.NewServer(Handler(newStore(t), http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		conn, _, err := rw.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
		conn.Close()
	}), Options{}))
	defer server.Close()
	res, err := server.Client().Post(server.URL, "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); string(body) != "hi" {
		t.Errorf("%q", body)
	}
}

func TestAHandlerThatEndsItsGoroutineHasNotAnswered(t *testing.T) {
	for _, written := range []string{"", "half"} {
		handler := Handler(newStore(t), http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			rw.Header().Set("Cache-Control", "max-age=60")
			io.WriteString(rw, written)
			runtime.Goexit()
		}), Options{})
		for i := 0; i < 2; i++ {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%q %d: it is taken for a whole answer", written, i)
					}
				}()
				get(t, handler, "GET", "http://a.example/")
			}()
		}
	}
}

func TestAHostWithAPathIsNoKey(t *testing.T) {
	handler := Handler(newStore(t), http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprintf(rw, "%s %s", req.Host, req.URL.Path)
	}), Options{})
	for _, host := range []string{"a.example/b", "a.example", "a.example?b", "a.example#b"} {
		req := httptest.NewRequest("GET", "/c", nil)
		req.Host = host
		if host == "a.example" {
			req.URL.Path = "/b/c"
		}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, req)
		if want := host + " " + req.URL.Path; recorder.Body.String() != want {
			t.Errorf("%q, not %q", recorder.Body, want)
		}
		if isLookedUp := !strings.Contains(recorder.Header().Get("Cache-Status"), "fwd=bypass"); isLookedUp != (host == "a.example") {
			t.Errorf("%s: %s", host, recorder.Header().Get("Cache-Status"))
		}
	}
}
