//go:build cgo

package httpcache

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Rows of the gateway's own table of rules (tests/http_cache/rows), as a client sees them.
func TestTheRules(t *testing.T) {
	const fresh = "Cache-Control: max-age=3600"
	for _, row := range []struct {
		rule     string
		response []string
		request  []string
		code     int
		later    time.Duration
		isKept   bool
	}{
		{rule: "RFC 9111 §3: explicit freshness", response: []string{fresh}, isKept: true},
		{rule: "RFC 9111 §4.2: an answer gets stale", response: []string{fresh}, later: 2 * time.Hour},
		{rule: "RFC 9111 §3: nothing is said", response: nil},
		{rule: "RFC 9111 §5.2.2.5: no-store", response: []string{"Cache-Control: no-store, max-age=60"}},
		{rule: "RFC 9111 §5.2.2.7: private", response: []string{"Cache-Control: private, max-age=60"}},
		{rule: "RFC 9111 §5.2.2.10: s-maxage", response: []string{"Cache-Control: s-maxage=3600"}, isKept: true},
		{rule: "RFC 9111 §5.3: Expires", response: []string{"Expires: Fri, 01 Jan 2100 00:00:00 GMT"}, isKept: true},
		{rule: "RFC 9111 §5.3: an Expires that is no date", response: []string{"Expires: 0"}},
		{rule: "RFC 9111 §4.2.2: a tenth of the age", response: []string{"Last-Modified: Sat, 01 Jan 2000 00:00:00 GMT"}, isKept: true},
		{rule: "RFC 9111 §5.1: an Age above max-age", response: []string{fresh, "Age: 3600"}},
		{rule: "RFC 9111 §4: Vary: *", response: []string{fresh, "Vary: *"}},
		{rule: "RFC 9111 §3.5: Authorization", response: []string{fresh}, request: []string{"Authorization: Basic eA=="}},
		{rule: "RFC 9111 §3.5: Authorization and public", response: []string{"Cache-Control: public, max-age=60"},
			request: []string{"Authorization: Basic eA=="}, isKept: true},
		{rule: "RFC 9111 §7.3: Set-Cookie", response: []string{fresh, "Set-Cookie: a=b"}},
		{rule: "RFC 9111 §3: 404 with freshness", response: []string{fresh}, code: 404, isKept: true},
		{rule: "RFC 9111 §3: 206", response: []string{fresh, "Content-Range: bytes 0-3/9"}, code: 206},
		{rule: "RFC 9110 §15: 500 with freshness", response: []string{fresh}, code: 500, isKept: true},
		{rule: "RFC 9111 §5.2.1.5: the request says no-store", response: []string{fresh}, request: []string{"Cache-Control: no-store"}},
		{rule: "RFC 9111 §5.2.1.4: the request says no-cache", response: []string{fresh}, request: []string{"Cache-Control: no-cache"}},
		{rule: "RFC 9111 §5.4: the request says Pragma: no-cache", response: []string{fresh}, request: []string{"Pragma: no-cache"}},
		{rule: "RFC 9213: CDN-Cache-Control goes before", response: []string{fresh, "CDN-Cache-Control: no-store"}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			w := newWorld(t, Options{})
			if row.code == 0 {
				row.code = 200
			}
			w.gives(row.code, "body", row.response...)
			w.ask("GET", "/", row.request...)
			w.advance(row.later)
			got := w.ask("GET", "/", row.request...)
			if got.isHit() != row.isKept || got.code != row.code || got.body != "body" {
				t.Errorf("%+v", got)
			}
			if row.isKept {
				w.expectAsked(1)
				if got.header.Get("Age") == "" || got.header.Get("Date") == "" {
					t.Errorf("%v", got.header)
				}
			} else {
				w.expectAsked(2)
			}
		})
	}
}

func TestAPrivateCacheKeepsWhatIsItsUsers(t *testing.T) {
	w := newWorld(t, Options{Private: true})
	w.gives(200, "body", "Cache-Control: private, max-age=60", "Set-Cookie: a=b")
	w.ask("GET", "/", "Authorization: Basic eA==", "Cookie: a=b")
	if got := w.ask("GET", "/", "Authorization: Basic eA=="); !got.isHit() || got.header.Get("Set-Cookie") != "a=b" {
		t.Errorf("%+v", got)
	}
}

func TestVariantsAreApart(t *testing.T) {
	w := newWorld(t, Options{})
	w.answers(func(rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("Cache-Control", "max-age=60")
		rw.Header().Set("Vary", "Accept-Language")
		io.WriteString(rw, "in "+req.Header.Get("Accept-Language"))
	})
	for i := 0; i < 2; i++ {
		for _, language := range []string{"de", "en"} {
			if got := w.ask("GET", "/", "Accept-Language: "+language); got.body != "in "+language || got.isHit() != (i == 1) {
				t.Errorf("%d %s: %+v", i, language, got)
			}
		}
	}
	w.expectAsked(2)
	w.ask("DELETE", "/")
	if got := w.ask("GET", "/", "Accept-Language: de"); got.isHit() {
		t.Error("a variant outlives its URL's deletion")
	}
}

func TestWhatIsStaleIsValidated(t *testing.T) {
	w := newWorld(t, Options{})
	w.gives(200, "body", "Cache-Control: max-age=60", `ETag: "1"`, "X-Count: 1")
	w.ask("GET", "/")
	w.gives(200, "other", "Cache-Control: max-age=120", `ETag: "1"`, "X-Count: 2")
	w.advance(61 * time.Second)
	got := w.ask("GET", "/")
	if got.code != 200 || got.body != "body" || got.header.Get("X-Count") != "2" ||
		!strings.Contains(got.header.Get("Cache-Status"), "fwd=stale; fwd-status=304") {
		t.Errorf("%+v", got)
	}
	w.advance(119 * time.Second)
	if got := w.ask("GET", "/"); !got.isHit() {
		t.Errorf("%+v", got)
	}
	w.expectAsked(2)
	w.gives(200, "new", "Cache-Control: max-age=60", `ETag: "2"`)
	w.advance(10 * time.Second)
	if got := w.ask("GET", "/"); got.body != "new" {
		t.Errorf("%+v", got)
	}
	if got := w.ask("GET", "/"); got.body != "new" || !got.isHit() {
		t.Errorf("%+v", got)
	}
}

func TestAClientThatHasItGets304(t *testing.T) {
	w := newWorld(t, Options{})
	w.gives(200, "body", "Cache-Control: max-age=60", `ETag: "1"`, "Content-Type: text/plain")
	for i := 0; i < 2; i++ { // from the origin, and from the store
		got := w.ask("GET", "/", `If-None-Match: "1"`)
		if got.code != 304 || got.body != "" || got.header.Get("ETag") != `"1"` || got.header.Get("Content-Type") != "" {
			t.Errorf("%d: %+v", i, got)
		}
	}
	if got := w.ask("GET", "/", `If-None-Match: "2"`); got.code != 200 || got.body != "body" || !got.isHit() {
		t.Errorf("%+v", got)
	}
	w.expectAsked(1)
}

func TestAHeadIsAnsweredFromTheGet(t *testing.T) {
	w := newWorld(t, Options{})
	w.gives(200, "body", "Cache-Control: max-age=60")
	if got := w.ask("HEAD", "/"); got.code != 200 || got.body != "" || got.isHit() {
		t.Errorf("%+v", got)
	}
	w.ask("GET", "/")
	if got := w.ask("HEAD", "/"); got.body != "" || !got.isHit() || got.header.Get("Content-Length") != "4" {
		t.Errorf("%+v", got)
	}
	w.expectAsked(2)
}

func TestAWriteForgetsWhatItNames(t *testing.T) {
	w := newWorld(t, Options{})
	prime := func() {
		w.gives(200, "body", "Cache-Control: max-age=60")
		for _, path := range []string{"/a", "/b?c=1", "/other"} {
			w.ask("GET", path)
		}
		w.asked.Store(0)
	}
	prime()
	w.gives(201, "", "Location: /b?c=1", "Content-Location: http://elsewhere.example/other")
	w.ask("POST", "/a")
	w.gives(200, "new", "Cache-Control: max-age=60")
	for path, body := range map[string]string{"/a": "new", "/b?c=1": "new", "/other": "body"} {
		if got := w.ask("GET", path); got.body != body {
			t.Errorf("%s: %+v", path, got)
		}
	}
	prime()
	w.gives(500, "")
	w.ask("PUT", "/other")
	if got := w.ask("GET", "/other"); !got.isHit() {
		t.Errorf("a write that failed has changed something: %+v", got)
	}
}

func TestWhatWasFetchedBeforeAWriteIsNotKept(t *testing.T) {
	w := newWorld(t, Options{})
	began, release := make(chan struct{}), make(chan struct{})
	w.answers(func(rw http.ResponseWriter, req *http.Request) {
		if req.Method == "GET" {
			close(began)
			<-release
		}
		rw.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(rw, "old")
	})
	got := make(chan answer)
	go func() { a, _ := w.try("GET", "/"); got <- a }()
	<-began
	req, _ := http.NewRequest("POST", w.origin.URL+"/", nil)
	if res, err := w.transport.RoundTrip(req); err == nil {
		res.Body.Close()
	}
	close(release)
	if a := <-got; a.body != "old" {
		t.Errorf("%+v", a)
	}
	w.gives(200, "new", "Cache-Control: max-age=60")
	if a := w.ask("GET", "/"); a.body != "new" {
		t.Errorf("%+v", a)
	}
}

func TestOfManyWhoMissOneAsks(t *testing.T) {
	w := newWorld(t, Options{})
	release := make(chan struct{})
	w.answers(func(rw http.ResponseWriter, _ *http.Request) {
		<-release
		rw.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(rw, "body")
	})
	var group sync.WaitGroup
	for i := 0; i < 30; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			if a, err := w.try("GET", "/"); err != nil || a.body != "body" {
				t.Errorf("%+v %v", a, err)
			}
		}()
	}
	for w.asked.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	close(release)
	group.Wait()
	w.expectAsked(1)
}

func TestWhatCannotBeSharedEachAsksFor(t *testing.T) {
	w := newWorld(t, Options{})
	w.gives(200, "body", "Cache-Control: no-store")
	var group sync.WaitGroup
	for i := 0; i < 10; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			if a, err := w.try("GET", "/"); err != nil || a.body != "body" {
				t.Errorf("%+v %v", a, err)
			}
		}()
	}
	group.Wait()
	w.expectAsked(10)
}

func TestStaleAnswersStandInForErrors(t *testing.T) {
	w := newWorld(t, Options{})
	w.gives(200, "body", "Cache-Control: max-age=60, stale-if-error=600")
	w.ask("GET", "/")
	w.gives(503, "down")
	w.advance(61 * time.Second)
	if got := w.ask("GET", "/"); got.code != 200 || got.body != "body" || !strings.Contains(got.header.Get("Cache-Status"), "ttl=-1") {
		t.Errorf("%+v", got)
	}
	w.origin.Close()
	if got := w.ask("GET", "/"); got.code != 200 || got.body != "body" {
		t.Errorf("%+v", got)
	}
	w.advance(600 * time.Second)
	if got, err := w.try("GET", "/"); err == nil {
		t.Errorf("%+v", got)
	}
}

func TestStaleAnswersAreGivenWhileOneIsFetched(t *testing.T) {
	w := newWorld(t, Options{})
	w.gives(200, "old", "Cache-Control: max-age=60, stale-while-revalidate=600")
	w.ask("GET", "/")
	w.gives(200, "new", "Cache-Control: max-age=60")
	w.advance(61 * time.Second)
	if got := w.ask("GET", "/"); got.body != "old" || !got.isHit() {
		t.Errorf("%+v", got)
	}
	w.settle()
	if got := w.ask("GET", "/"); got.body != "new" || !got.isHit() {
		t.Errorf("%+v", got)
	}
	w.expectAsked(2)
}

func TestOnlyIfCachedAsksNobody(t *testing.T) {
	w := newWorld(t, Options{})
	if got := w.ask("GET", "/", "Cache-Control: only-if-cached"); got.code != 504 {
		t.Errorf("%+v", got)
	}
	w.expectAsked(0)
}

func TestAPartOfWhatIsKeptIsGiven(t *testing.T) {
	w := newWorld(t, Options{})
	w.answers(func(rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("Cache-Control", "max-age=60")
		rw.Header().Set("ETag", `"1"`)
		rw.Header().Set("Content-Type", "text/plain")
		http.ServeContent(rw, req, "", time.Time{}, strings.NewReader("0123456789"))
	})
	for i := 0; i < 2; i++ { // nothing is kept: the origin says it each time
		if got := w.ask("GET", "/", "Range: bytes=2-4"); got.code != 206 || got.body != "234" || got.isHit() {
			t.Errorf("%+v", got)
		}
	}
	w.expectAsked(2)
	w.ask("GET", "/")
	for _, c := range []struct {
		fields            []string
		code              int
		body, part, bytes string
	}{
		{[]string{"Range: bytes=2-4"}, 206, "234", "bytes 2-4/10", "3"},
		{[]string{"Range: bytes=-2"}, 206, "89", "bytes 8-9/10", "2"},
		{[]string{"Range: bytes=9-100"}, 206, "9", "bytes 9-9/10", "1"},
		{[]string{"Range: bytes=10-"}, 416, "", "bytes */10", ""},
		{[]string{"Range: words=1-2"}, 200, "0123456789", "", "10"},
		{[]string{"Range: bytes=2-4", `If-Range: "1"`}, 206, "234", "bytes 2-4/10", "3"},
		{[]string{"Range: bytes=2-4", `If-Range: "2"`}, 200, "0123456789", "", "10"},
		{[]string{"Range: bytes=2-4", `If-None-Match: "1"`}, 304, "", "", ""},
		{[]string{"Range: bytes=2-4", "Cache-Control: only-if-cached"}, 206, "234", "bytes 2-4/10", "3"},
	} {
		got := w.ask("GET", "/", c.fields...)
		if got.code != c.code || got.body != c.body || got.header.Get("Content-Range") != c.part ||
			got.header.Get("Content-Length") != c.bytes || !got.isHit() {
			t.Errorf("%s: %+v", c.fields, got)
		}
	}
	if got := w.ask("GET", "/", "Range: bytes=10-"); got.header.Get("ETag") != "" || got.header.Get("Content-Type") != "" {
		t.Errorf("fields of another answer: %+v", got)
	}
	w.expectAsked(1)
	w.advance(61 * time.Second) // what is stale, the origin says
	if got := w.ask("GET", "/", "Range: bytes=2-4"); got.code != 206 || !strings.Contains(got.header.Get("Cache-Status"), "fwd=stale") {
		t.Errorf("%+v", got)
	}
	if got := w.ask("GET", "/other", "Range: bytes=2-4", "Cache-Control: only-if-cached"); got.code != 504 {
		t.Errorf("%+v", got)
	}
}

func TestSeveralPartsAreGivenTogether(t *testing.T) {
	w := newWorld(t, Options{})
	w.gives(200, "0123456789", "Cache-Control: max-age=60", "Content-Type: text/x")
	w.ask("GET", "/")
	got := w.ask("GET", "/", "Range: bytes=1-2,8-")
	kind, parameters, err := mime.ParseMediaType(got.header.Get("Content-Type"))
	if got.code != 206 || kind != "multipart/byteranges" || err != nil || got.header.Get("Content-Range") != "" ||
		got.header.Get("Content-Length") != strconv.Itoa(len(got.body)) {
		t.Fatalf("%+v", got)
	}
	reader := multipart.NewReader(strings.NewReader(got.body), parameters["boundary"])
	for _, wanted := range []string{"bytes 1-2/10 text/x 12", "bytes 8-9/10 text/x 89"} {
		one, err := reader.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(one)
		if said := one.Header.Get("Content-Range") + " " + one.Header.Get("Content-Type") + " " + string(body); said != wanted {
			t.Errorf("%q, not %q", said, wanted)
		}
	}
	if _, err := reader.NextPart(); err != io.EOF {
		t.Error(err)
	}
}

func TestAPartIsGivenWhileTheWholeIsFetched(t *testing.T) {
	w := newWorld(t, Options{})
	w.gives(200, "0123456789", "Cache-Control: max-age=60, stale-while-revalidate=600")
	w.ask("GET", "/")
	w.answers(func(rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("Cache-Control", "max-age=60")
		http.ServeContent(rw, req, "", time.Time{}, strings.NewReader("abcdefghij"))
	})
	w.advance(61 * time.Second)
	if got := w.ask("GET", "/", "Range: bytes=2-4"); got.code != 206 || got.body != "234" {
		t.Errorf("%+v", got)
	}
	w.settle()
	if got := w.ask("GET", "/"); got.body != "abcdefghij" || !got.isHit() {
		t.Errorf("%+v", got)
	}
}

func TestALargeBodyIsPassedOnAndNotKept(t *testing.T) {
	w := newWorld(t, Options{BodyBytesMax: 100000})
	large := strings.Repeat("x", 1000000)
	for _, chunked := range []bool{false, true} {
		w.answers(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Cache-Control", "max-age=60")
			if chunked {
				rw.(http.Flusher).Flush()
			}
			io.WriteString(rw, large)
		})
		for i := 0; i < 2; i++ {
			if got := w.ask("GET", "/"); got.body != large {
				t.Errorf("%d bytes", len(got.body))
			}
		}
		w.expectAsked(2)
	}
}

func TestABodyThatBreaksOffIsNotKept(t *testing.T) {
	w := newWorld(t, Options{})
	w.answers(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Cache-Control", "max-age=60")
		rw.Header().Set("Content-Length", "100")
		io.WriteString(rw, "half")
		rw.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	if got, err := w.try("GET", "/"); err == nil {
		t.Errorf("%+v", got)
	}
	w.gives(200, "whole", "Cache-Control: max-age=60")
	if got := w.ask("GET", "/"); got.body != "whole" {
		t.Errorf("%+v", got)
	}
}

func TestACallerWhoGivesUpEndsNobodyElsesWait(t *testing.T) {
	w := newWorld(t, Options{})
	release := make(chan struct{})
	w.answers(func(rw http.ResponseWriter, _ *http.Request) {
		<-release
		rw.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(rw, "body")
	})
	ctx, cancel := context.WithCancel(context.Background())
	first := make(chan error)
	go func() {
		req, _ := http.NewRequestWithContext(ctx, "GET", w.origin.URL+"/", nil)
		_, err := w.transport.RoundTrip(req)
		first <- err
	}()
	for w.asked.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	second := make(chan answer)
	go func() { a, _ := w.try("GET", "/"); second <- a }()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(release)
	if a := <-second; a.body != "body" {
		t.Errorf("%+v", a)
	}
	w.expectAsked(1)
}

func TestABodyThatNobodyReadsIsKeptAllTheSame(t *testing.T) {
	w := newWorld(t, Options{})
	w.gives(200, strings.Repeat("x", 500000), "Cache-Control: max-age=60")
	req, _ := http.NewRequest("GET", w.origin.URL+"/", nil)
	res, err := w.transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if _, err := res.Body.Read(make([]byte, 10)); err == nil {
		t.Error("a closed body can be read")
	}
	w.settle()
	if got := w.ask("GET", "/"); !got.isHit() || len(got.body) != 500000 {
		t.Errorf("%d bytes", len(got.body))
	}
}

type panics struct{}

func (panics) RoundTrip(*http.Request) (*http.Response, error) { panic("round trip") }

func TestATransportThatPanicsIsAnError(t *testing.T) {
	transport := NewTransport(newStore(t), panics{}, Options{})
	req, _ := http.NewRequest("GET", "http://a.example/", nil)
	if _, err := transport.RoundTrip(req); err == nil || !strings.Contains(err.Error(), "round trip") {
		t.Error(err)
	}
}

func TestBytesThatAreNoEntryAreNone(t *testing.T) {
	w := newWorld(t, Options{})
	w.gives(200, "body", "Cache-Control: max-age=60", "Content-Type: text/plain")
	w.ask("GET", "/")
	key := []byte(w.origin.URL + "/")
	whole, err := w.store.Get(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	for size := 0; size < len(whole)-len("body"); size++ {
		if e, err := decode(append([]byte{kindResponse}, whole[1:max(size, 1)]...)); err == nil {
			t.Fatalf("%d of %d bytes are %+v", size, len(whole), e)
		}
	}
	for at := 1; at < len(whole); at++ { // whatever it says, it is answered, and nothing breaks
		spoilt := append([]byte{}, whole...)
		spoilt[at] ^= 0xff
		w.store.Set(key, spoilt)
		w.try("GET", "/")
	}
}

func max(a, b int) int {
	if a > b {
		return a
	}
	return b
}
