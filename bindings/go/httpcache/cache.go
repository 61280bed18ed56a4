//go:build cgo

package httpcache

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"nuthatch"
)

// A cache is what a Transport and a Handler have in common: requests are answered from the store, or by the origin.
type cache struct {
	store   *nuthatch.Store
	origin  http.RoundTripper
	options Options
	rules   rules
	flights flights
	fences  fences
	started time.Time
	after   func(time.Duration, func()) timer
}

func newCache(store *nuthatch.Store, origin http.RoundTripper, options Options) *cache {
	if options.BodyBytesMax <= 0 {
		options.BodyBytesMax = bodyBytesMax
	}
	if options.FetchTimeout <= 0 {
		options.FetchTimeout = fetchTimeout
	}
	return &cache{
		store: store, origin: origin, options: options, rules: rulesOf(&options),
		flights: flights{byKey: map[string]*flight{}}, started: time.Now(),
		after: afterFunc,
	}
}

// The monotonic time is that of the day, moved on by Go's monotonic clock: what is kept outlives a restart.
func (c *cache) now() moment {
	if c.options.Clock != nil {
		wall := time.Duration(c.options.Clock().UnixNano())
		return moment{mono: wall, wall: wall}
	}
	wall := time.Duration(c.started.UnixNano()) + time.Since(c.started)
	return moment{mono: wall, wall: wall}
}

// A passedOn is the error that a request is to be passed on as it is, for the reason that Cache-Status tells.
type passedOn string

func (reason passedOn) Error() string {
	return "httpcache: the request is passed on: " + string(reason)
}

// answer answers a request, unless the error is that it is passedOn.
func (c *cache) answer(req *http.Request, origin string) (*http.Response, error) {
	a, primary, err := c.keyed(req, origin)
	if err != nil {
		return nil, err
	}
	collapsed := false
	for {
		if err := req.Context().Err(); err != nil {
			return nil, err
		}
		now := c.now()
		at, how := c.find(primary, req.Header), useNot
		if at.entry != nil {
			how = c.rules.use(a, at.entry.kept, now)
		}
		switch how {
		case useFresh, useStale:
			return c.give(req, at.entry, status{entry: at.entry, collapsed: collapsed}), nil
		case useRevalidate:
			c.revalidate(req, a, at)
			return c.give(req, at.entry, status{entry: at.entry, collapsed: collapsed}), nil
		}
		if a.wants(askOnlyIfCached) {
			return plain(req, http.StatusGatewayTimeout, status{detail: "only-if-cached"}, now), nil
		}
		if at.entry != nil && how == useNot {
			at.entry = nil // it is not for this request: it says nothing, and stays
		}
		if a.wants(askRange) {
			return nil, passedOn(forwardReason(a, at))
		}
		// Who wants it from the origin, and who has credentials, asks by himself: others' answers are not for him. The answer
		// to a HEAD is nobody else's.
		if collapsed || a.wants(askValidation|askCredentials) || req.Method == http.MethodHead {
			flight := newFlight()
			go c.fly(flight, "", own(req), a, at)
			return c.await(req, flight)
		}
		flight, isNew := c.flights.join(at.key)
		if isNew {
			go c.fly(flight, at.key, own(req), a, at)
			return c.await(req, flight)
		}
		select {
		case <-flight.done:
			collapsed = true
		case <-req.Context().Done():
			return nil, gone(req)
		case <-req.Cancel:
			return nil, gone(req)
		}
	}
}

// own is a request that its caller may change and use again meanwhile.
func own(req *http.Request) *http.Request {
	clone := req.Clone(req.Context())
	if clone.Method == "" {
		clone.Method = http.MethodGet
	}
	if clone.Header == nil {
		clone.Header = http.Header{}
	}
	return clone
}

// roundTrip has the origin answer, and what it may leave out filled in.
func (c *cache) roundTrip(req *http.Request) (*http.Response, error) {
	res, err := c.origin.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if res == nil {
		return nil, fmt.Errorf("httpcache: %T returned neither a response nor an error", c.origin)
	}
	if res.Header == nil {
		res.Header = http.Header{}
	}
	if res.Body == nil {
		res.Body = http.NoBody
	}
	return res, nil
}

// revalidate asks the origin in the background, if nobody does already.
func (c *cache) revalidate(req *http.Request, a ask, at place) {
	flight, isNew := c.flights.join(at.key)
	if !isNew {
		return
	}
	go c.fly(flight, at.key, own(req), a, at)
	go flight.abandon()
}

// await is the answer to who began a flight.
func (c *cache) await(req *http.Request, flight *flight) (*http.Response, error) {
	select {
	case <-flight.head:
	case <-req.Context().Done():
		go flight.abandon()
		return nil, gone(req)
	case <-req.Cancel:
		go flight.abandon()
		return nil, gone(req)
	}
	switch {
	case flight.err != nil:
		return nil, flight.err
	case flight.entry != nil:
		return c.give(req, flight.entry, flight.status), nil
	}
	res := flight.response
	res.Request = req
	if req.Method == http.MethodHead {
		return res, nil
	}
	if isConditional(req) && res.StatusCode == http.StatusOK {
		fields := linesOf(res.Header)
		if hasIt(req.Header, &fields, c.now()) {
			res.Body.Close()
			return notModified(req, res.Header), nil
		}
	}
	return res, nil
}

func isConditional(req *http.Request) bool {
	return req.Header.Get("If-None-Match") != "" || req.Header.Get("If-Modified-Since") != ""
}

// keyed is what a request means, and its URL if it may be looked up; else it is passedOn.
func (c *cache) keyed(req *http.Request, origin string) (a ask, primary string, err error) {
	const bypass = passedOn("bypass")
	a, err = c.rules.ask(req)
	switch {
	case err != nil:
		return a, "", bypass
	case req.Method != http.MethodGet && req.Method != http.MethodHead && req.Method != "":
		return a, "", passedOn("method")
	case !a.isCacheable(), req.Header.Get("Upgrade") != "", req.Header.Get("Range") != "" && !a.wants(askRange):
		return a, "", bypass
	}
	if _, host, _ := strings.Cut(origin, "://"); strings.ContainsAny(host, `/?#\`) {
		return a, "", bypass // with the path behind it, it would be another URL
	}
	if primary = urlOf(req, origin); primary == "" || len(primary) > keyBytesMax || strings.ContainsAny(primary, "\r\n") {
		return a, "", bypass
	}
	return a, primary, nil
}

// urlOf is empty for what is asked by anything else than a path, as "x:y" is: behind the host it would be another URL.
func urlOf(req *http.Request, origin string) string {
	target := req.URL.RequestURI()
	if !strings.HasPrefix(target, "/") {
		return ""
	}
	return origin + target
}

// wrote is after a request that was passed on: it may have changed what is kept.
func (c *cache) wrote(req *http.Request, origin string, code int, header http.Header) {
	if !invalidates(req.Method, code) {
		return
	}
	primary := urlOf(req, origin)
	if primary == "" {
		return
	}
	c.forget(primary)
	c.forgetNamed(primary, header.Get("Location"))
	c.forgetNamed(primary, header.Get("Content-Location"))
}
