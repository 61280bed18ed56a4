//go:build cgo

package httpcache

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestATargetThatIsNoPathIsNoKey(t *testing.T) {
	handler := Handler(newStore(t), http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprintf(rw, "%s %s %s", req.Host, req.URL.Opaque, req.URL.Path)
	}), Options{})
	// As a server reads "GET x:.example/b HTTP/1.1" with "Host: a", whose key would be that of the second.
	for _, target := range []string{"x:.example/b", "/b"} {
		parsed, err := url.ParseRequestURI(target)
		if err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequest("GET", "/", nil)
		req.URL, req.Host = parsed, "a"
		if target == "/b" {
			req.Host = "a.example"
		}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, req)
		if want := req.Host + " " + parsed.Opaque + " " + parsed.Path; recorder.Body.String() != want {
			t.Errorf("%q, not %q", recorder.Body, want)
		}
	}
}

func TestAnOriginMayLeaveOutWhatItHasNot(t *testing.T) {
	for _, method := range []string{"", "GET", "POST"} {
		for what, res := range map[string]*http.Response{"bare": {StatusCode: 204}, "none": nil} {
			transport := NewTransport(newStore(t), roundTrips(func(*http.Request) (*http.Response, error) { return res, nil }), Options{})
			req, _ := http.NewRequest(method, "http://a.example/", nil)
			req.Method = method
			got, err := transport.RoundTrip(req)
			if what == "none" {
				if err == nil || strings.Contains(err.Error(), "panic") {
					t.Errorf("%s %s: %+v %v", method, what, got, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s %s: %v", method, what, err)
				continue
			}
			if body, err := io.ReadAll(got.Body); len(body) > 0 || err != nil || got.StatusCode != 204 {
				t.Errorf("%s %s: %q %v", method, what, body, err)
			}
			got.Body.Close()
		}
	}
}

func TestARequestWithoutAMethodIsAGet(t *testing.T) {
	w := newWorld(t, Options{})
	w.gives(200, "body", "Cache-Control: max-age=60")
	for i := 0; i < 2; i++ {
		req, _ := http.NewRequest("GET", w.origin.URL+"/", nil)
		req.Method = ""
		res, err := w.transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		io.ReadAll(res.Body)
		res.Body.Close()
		w.settle()
	}
	w.expectAsked(1)
}

func TestAHandlersTrailersAreItsAnswers(t *testing.T) {
	var calls int
	server := httptest.NewServer(Handler(newStore(t), http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		calls++
		rw.Header().Set("Cache-Control", "max-age=60")
		if req.URL.Path == "/declared" {
			rw.Header().Set("Trailer", "X-Sum")
			io.WriteString(rw, "body")
			rw.Header().Set("X-Sum", "1")
		} else {
			io.WriteString(rw, "body")
			rw.(http.Flusher).Flush()
			rw.Header().Set(http.TrailerPrefix+"X-Sum", "1")
		}
	}), Options{}))
	defer server.Close()
	for _, path := range []string{"/declared", "/declared", "/sudden", "/sudden"} {
		res, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if string(body) != "body" || err != nil || res.Trailer.Get("X-Sum") != "1" || res.Header.Get("X-Sum") != "" {
			t.Errorf("%s: %q %v %+v %+v", path, body, err, res.Trailer, res.Header)
		}
	}
	if calls != 4 {
		t.Errorf("%d calls", calls)
	}
}

func TestAHandlersTypeIsGuessedAsAServerDoes(t *testing.T) {
	for what, prepare := range map[string]func(http.Header){
		"text/plain; charset=utf-8": func(http.Header) {},
		"":                          func(h http.Header) { h["Content-Type"] = nil },
		"coded":                     func(h http.Header) { h.Set("Content-Encoding", "gzip") },
		"a/b":                       func(h http.Header) { h.Set("Content-Type", "a/b") },
	} {
		handler := http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			prepare(rw.Header())
			io.WriteString(rw, "body")
		})
		var said [2]string
		for i, h := range []http.Handler{handler, Handler(newStore(t), handler, Options{})} {
			server := httptest.NewServer(h)
			res, err := server.Client().Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			server.Close()
			said[i] = fmt.Sprint(res.Header["Content-Type"])
		}
		if said[0] != said[1] {
			t.Errorf("%s: %s, and %s through the cache", what, said[0], said[1])
		}
	}
}

type closes struct {
	http.RoundTripper
	isClosed bool
}

func (c *closes) CloseIdleConnections() { c.isClosed = true }

func TestAClientsIdleConnectionsAreTheOrigins(t *testing.T) {
	origin := &closes{}
	(&http.Client{Transport: NewTransport(newStore(t), origin, Options{})}).CloseIdleConnections()
	if !origin.isClosed {
		t.Error("they stay")
	}
}
