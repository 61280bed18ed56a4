//go:build cgo

package httpcache

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// An origin that sends what a test says when it says so; "" ends the body.
func (w *world) streams(fields ...string) (pieces chan string) {
	pieces = make(chan string)
	w.answers(func(rw http.ResponseWriter, req *http.Request) {
		for _, field := range fields {
			name, value, _ := strings.Cut(field, ": ")
			rw.Header().Add(name, value)
		}
		for {
			rw.(http.Flusher).Flush()
			select {
			case piece := <-pieces:
				if piece == "" {
					return
				}
				io.WriteString(rw, piece)
			case <-req.Context().Done():
				return
			}
		}
	})
	return pieces
}

// begin asks, and leaves the body to be read.
func (w *world) begin(path string) *http.Response {
	w.t.Helper()
	req, err := http.NewRequest("GET", w.origin.URL+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := w.transport.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { res.Body.Close() })
	return res
}

func (w *world) expectPiece(body io.Reader, wanted string) {
	w.t.Helper()
	room := make([]byte, len(wanted))
	if _, err := io.ReadFull(body, room); err != nil || string(room) != wanted {
		w.t.Fatalf("%q %v", room, err)
	}
}

func soon[T any](t *testing.T, from <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-from:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing comes")
	}
	return value
}

func TestABodyThatGoesOnIsNotCut(t *testing.T) {
	for _, bytesMax := range []int64{0, 10} { // kept, and larger than may be
		w := newWorld(t, Options{BodyBytesMax: bytesMax})
		pieces := w.streams("Cache-Control: max-age=3600")
		res := w.begin("/")
		for i := 0; i < 4; i++ {
			pieces <- "a piece "
			w.expectPiece(res.Body, "a piece ")
			w.advance(fetchTimeout - time.Second)
		}
		pieces <- ""
		if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
			t.Errorf("%q %v", rest, err)
		}
		w.settle()
		w.gives(200, "another")
		if got := w.ask("GET", "/"); got.isHit() != (bytesMax == 0) {
			t.Errorf("%+v", got)
		}
	}
}

func TestAnOriginThatIsSilentForTooLongIsGivenUp(t *testing.T) {
	w := newWorld(t, Options{})
	pieces := w.streams("Cache-Control: max-age=3600")
	res := w.begin("/")
	pieces <- "a piece"
	w.expectPiece(res.Body, "a piece")
	w.advance(fetchTimeout)
	var timeout net.Error
	if rest, err := io.ReadAll(res.Body); !errors.Is(err, ErrFetchTimeout) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("%q %v", rest, err)
	}
	w.settle()

	asked := make(chan struct{})
	w.answers(func(_ http.ResponseWriter, req *http.Request) { // nor does it say anything now
		close(asked)
		<-req.Context().Done()
	})
	failed := make(chan error)
	go func() { _, err := w.try("GET", "/"); failed <- err }()
	soon(t, asked)
	w.advance(fetchTimeout)
	if err := soon(t, failed); !errors.Is(err, ErrFetchTimeout) {
		t.Error(err)
	}
}

func TestOthersDoNotWaitForABodyThatGoesOn(t *testing.T) {
	w := newWorld(t, Options{})
	pieces := w.streams("Cache-Control: max-age=3600")
	res := w.begin("/")
	pieces <- "a piece"
	w.expectPiece(res.Body, "a piece")
	w.gives(200, "of his own", "Cache-Control: max-age=3600")
	other := make(chan answer)
	go func() { a, _ := w.try("GET", "/"); other <- a }()
	w.advance(fetchTimeout / 2)
	pieces <- "more"
	w.expectPiece(res.Body, "more")
	w.advance(fetchTimeout / 2)
	if got := soon(t, other); got.body != "of his own" {
		t.Errorf("%+v", got)
	}
	pieces <- ""
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
		t.Errorf("%q %v", rest, err)
	}
}

func TestWhatNobodyReadsIsNotWaitedForWithoutEnd(t *testing.T) {
	w := newWorld(t, Options{})
	pieces := w.streams("Cache-Control: max-age=3600")
	w.begin("/").Body.Close()
	pieces <- "a piece"
	w.advance(fetchTimeout / 2)
	pieces <- "more"
	pieces <- "more" // the one before is with us, or on its way
	w.advance(fetchTimeout / 2)
	gone := make(chan struct{})
	go func() {
		w.origin.Close() // waits for those who are answered
		close(gone)
	}()
	soon(t, gone)
}

func TestAClientWhoseTimeIsOverEndsNobodyElsesWait(t *testing.T) {
	w := newWorld(t, Options{})
	asked, release := make(chan struct{}, 2), make(chan struct{})
	w.answers(func(rw http.ResponseWriter, req *http.Request) {
		asked <- struct{}{}
		select {
		case <-release:
		case <-req.Context().Done():
		}
		rw.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(rw, "body")
	})
	over, failed := make(chan struct{}), make(chan error)
	go func() {
		req, _ := http.NewRequest("GET", w.origin.URL+"/", nil)
		req.Cancel = over // as http.Client does for its Timeout
		_, err := w.transport.RoundTrip(req)
		failed <- err
	}()
	soon(t, asked)
	close(over)
	if err := soon(t, failed); err == nil {
		t.Error("he has an answer")
	}
	other := make(chan answer)
	go func() { a, _ := w.try("GET", "/"); other <- a }()
	close(release)
	if got := soon(t, other); got.body != "body" {
		t.Errorf("%+v", got)
	}
	w.expectAsked(1)
}

func TestA304CanEndWhatIsKept(t *testing.T) {
	for news, isKept := range map[string]bool{
		"Cache-Control: no-store":            false,
		"Cache-Control: private, max-age=60": false,
		"Vary: *":                            false,
		"Cache-Control: max-age=60":          true,
	} {
		w := newWorld(t, Options{})
		w.gives(200, "body", "Cache-Control: max-age=60, stale-if-error=600", `ETag: "1"`)
		w.ask("GET", "/")
		w.gives(200, "other", news, `ETag: "1"`)
		w.advance(61 * time.Second)
		if got := w.ask("GET", "/"); got.code != 200 || got.body != "body" {
			t.Errorf("%s: %+v", news, got)
		}
		if count, err := w.store.Count(); err != nil || count > 0 != isKept {
			t.Errorf("%s: %d are kept, %v", news, count, err)
		}
		w.gives(503, "down")
		if got := w.ask("GET", "/"); got.isHit() != isKept || (got.code == 503) == isKept {
			t.Errorf("%s: %+v", news, got)
		}
	}
}

func TestA304EndsOneVariantAlone(t *testing.T) {
	w := newWorld(t, Options{})
	w.gives(200, "body", "Cache-Control: max-age=60", `ETag: "1"`, "Vary: Accept-Language")
	w.ask("GET", "/", "Accept-Language: de")
	w.advance(61 * time.Second)
	w.ask("GET", "/", "Accept-Language: en")
	w.gives(200, "other", "Cache-Control: no-store", `ETag: "1"`)
	w.ask("GET", "/", "Accept-Language: de")
	if got := w.ask("GET", "/", "Accept-Language: en"); !got.isHit() {
		t.Errorf("%+v", got)
	}
	if got := w.ask("GET", "/", "Accept-Language: de"); got.body != "other" {
		t.Errorf("%+v", got)
	}
}

func TestA304ToWhoHasCredentialsEndsNothingOfOthers(t *testing.T) {
	w := newWorld(t, Options{})
	w.gives(200, "body", "Cache-Control: max-age=60", `ETag: "1"`)
	w.ask("GET", "/")
	w.advance(61 * time.Second)
	if got := w.ask("GET", "/", "Cookie: a=b"); got.code != 200 || got.body != "body" {
		t.Errorf("%+v", got)
	}
	if count, err := w.store.Count(); err != nil || count != 1 {
		t.Errorf("%d are kept, %v", count, err)
	}
}

func TestAnAnswerThatIsNotKeptEndsTheOneBefore(t *testing.T) {
	for what, fields := range map[string][]string{
		"not to be stored":         {"Cache-Control: no-store"},
		"larger than may be":       {"Cache-Control: max-age=60", "Content-Length: 20"},
		"larger, as it turns out":  {"Cache-Control: max-age=60"},
		"after a 304 for somebody": {"Cache-Control: no-store", `ETag: "2"`},
	} {
		w := newWorld(t, Options{BodyBytesMax: 10})
		w.gives(200, "old", "Cache-Control: max-age=60, stale-if-error=600", `ETag: "1"`)
		w.ask("GET", "/")
		w.advance(61 * time.Second)
		w.answers(func(rw http.ResponseWriter, req *http.Request) {
			for _, field := range fields {
				name, value, _ := strings.Cut(field, ": ")
				rw.Header().Set(name, value)
			}
			if rw.Header().Get("ETag") != "" && req.Header.Get("If-None-Match") != "" {
				rw.WriteHeader(http.StatusNotModified)
				return
			}
			rw.(http.Flusher).Flush()
			io.WriteString(rw, strings.Repeat("x", 20))
		})
		if got := w.ask("GET", "/"); got.body != strings.Repeat("x", 20) {
			t.Errorf("%s: %+v", what, got)
		}
		w.gives(503, "down")
		if got := w.ask("GET", "/"); got.code != 503 {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

type roundTrips func(*http.Request) (*http.Response, error)

func (r roundTrips) RoundTrip(req *http.Request) (*http.Response, error) { return r(req) }

type reads func([]byte) (int, error)

func (r reads) Read(room []byte) (int, error) { return r(room) }

func TestAnOriginThatEndsItsGoroutineLeavesNothingBehind(t *testing.T) {
	for what, ends := range map[string]func(){
		"panic":  func() { panic("oh") },
		"nil":    func() { panic(nil) },
		"goexit": runtime.Goexit,
	} {
		for _, when := range []string{"head", "body"} {
			w := newWorld(t, Options{})
			origin := w.transport.cache.origin
			w.transport.cache.origin = roundTrips(func(*http.Request) (*http.Response, error) {
				if when == "head" {
					ends()
				}
				body := io.MultiReader(strings.NewReader("half"), reads(func([]byte) (int, error) { ends(); return 0, io.EOF }))
				return &http.Response{StatusCode: 200, ContentLength: -1, Body: io.NopCloser(body),
					Header: http.Header{"Cache-Control": {"max-age=60"}}}, nil
			})
			failed := make(chan error)
			go func() { _, err := w.try("GET", "/"); failed <- err }()
			if err := soon(t, failed); err == nil || !strings.Contains(err.Error(), "the origin panicked") {
				t.Errorf("%s, %s: %v", what, when, err)
			}
			w.transport.cache.origin = origin
			w.gives(200, "body", "Cache-Control: max-age=60")
			if got := w.ask("GET", "/"); got.body != "body" {
				t.Errorf("%s, %s: %+v", what, when, got)
			}
		}
	}
}

func TestAnAnswerThatIsReadToItsEndLeavesNothingBehind(t *testing.T) {
	for _, said := range []string{"no-store", "max-age=60"} {
		w := newWorld(t, Options{BodyBytesMax: 10})
		w.gives(200, strings.Repeat("x", 1000000), "Cache-Control: "+said)
		origin, fetched := w.transport.cache.origin, make(chan (<-chan struct{}), 1)
		w.transport.cache.origin = roundTrips(func(req *http.Request) (*http.Response, error) {
			fetched <- req.Context().Done()
			return origin.RoundTrip(req)
		})
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", w.origin.URL+"/", nil)
		res, err := w.transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); err != nil || len(body) != 1000000 {
			t.Errorf("%d bytes, %v", len(body), err)
		}
		soon(t, <-fetched) // though he neither closes it nor goes
	}
}
