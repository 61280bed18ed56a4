//go:build cgo

package httpcache

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
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
}

func newCache(store *nuthatch.Store, origin http.RoundTripper, options Options) *cache {
	if options.BodyBytesMax == 0 {
		options.BodyBytesMax = bodyBytesMax
	}
	if options.FetchTimeout == 0 {
		options.FetchTimeout = fetchTimeout
	}
	return &cache{
		store: store, origin: origin, options: options, rules: rulesOf(&options),
		flights: flights{byKey: map[string]*flight{}}, started: time.Now(),
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

// answer answers a request that isKeyed has said may be looked up.
func (c *cache) answer(req *http.Request, a ask, primary string) (*http.Response, error) {
	ctx := req.Context()
	collapsed := false
	for {
		if err := ctx.Err(); err != nil {
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
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// own is a request that its caller may change and use again meanwhile.
func own(req *http.Request) *http.Request { return req.Clone(req.Context()) }

// revalidate asks the origin in the background, if nobody does already.
func (c *cache) revalidate(req *http.Request, a ask, at place) {
	flight, isNew := c.flights.join(at.key)
	if !isNew {
		return
	}
	req = own(req)
	go func() {
		c.fly(flight, at.key, req, a, at)
		if flight.response != nil {
			flight.response.Body.Close()
		}
	}()
}

// await is the answer to who began a flight.
func (c *cache) await(req *http.Request, flight *flight) (*http.Response, error) {
	select {
	case <-flight.head:
	case <-req.Context().Done():
		go func() { // nobody will read it
			<-flight.head
			if flight.response != nil {
				flight.response.Body.Close()
			}
		}()
		return nil, req.Context().Err()
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
			return notModified(res), nil
		}
	}
	return res, nil
}

func isConditional(req *http.Request) bool {
	return req.Header.Get("If-None-Match") != "" || req.Header.Get("If-Modified-Since") != ""
}

// fly asks the origin for all who wait at key, or, with none, for one.
func (c *cache) fly(flight *flight, key string, req *http.Request, a ask, at place) {
	defer close(flight.done)
	if key != "" {
		defer c.flights.end(key, flight)
	}
	ctx, cancel, timer := fetchContext(req.Context(), c.options.FetchTimeout)
	fence := c.fences.count(at.primary)
	var keep func()
	func() {
		defer func() {
			if value := recover(); value != nil { // for who asked to hear of, not to end the program
				flight.response, flight.entry, flight.err = nil, nil, &originPanic{value}
			}
		}()
		keep = c.fetch(ctx, cancel, timer, flight, req, a, at, fence)
	}()
	close(flight.head)
	if keep != nil {
		keep()
	}
}

// originPanic is what the origin, a handler or a RoundTripper, panicked with before there was a head.
type originPanic struct{ value any }

func (p *originPanic) Error() string {
	return fmt.Sprintf("httpcache: the origin panicked: %v", p.value)
}

// fetch has the flight's answer known, and returns what is left to do for keeping it.
func (c *cache) fetch(ctx context.Context, cancel context.CancelFunc, timer *time.Timer, flight *flight, req *http.Request,
	a ask, at place, fence uint64) (keep func()) {
	end := func() { timer.Stop(); cancel() }
	out := req.Clone(ctx)
	for _, name := range []string{"If-None-Match", "If-Modified-Since", "If-Range"} {
		out.Header.Del(name)
	}
	isConditional := at.entry != nil && addConditions(out.Header, &at.entry.fields)
	flight.status.forward = forwardReason(a, at)

	requested := c.now()
	res, err := c.origin.RoundTrip(out)
	received := c.now()
	if err != nil {
		end()
		if at.entry != nil && c.rules.mayStandIn(a, at.entry.kept, true, received) {
			flight.entry, flight.status = at.entry, status{entry: at.entry, detail: "unreachable"}
			return nil
		}
		flight.err = err
		return nil
	}
	flight.status.originStatus = res.StatusCode
	news := linesOf(res.Header)
	if res.StatusCode == http.StatusNotModified && isConditional {
		res.Body.Close()
		merged, isSame := freshened(&at.entry.fields, &news)
		if !isSame { // of another response: all of it
			timer.Stop()
			cancel()
			at.entry = nil
			ctx, cancel, timer := fetchContext(req.Context(), c.options.FetchTimeout)
			return c.fetch(ctx, cancel, timer, flight, req, a, at, fence)
		}
		defer end()
		c.validated(flight, req, a, at, &merged, requested, received, fence)
		return nil
	}
	if at.entry != nil && isFailure(res.StatusCode) && c.rules.mayStandIn(a, at.entry.kept, false, received) {
		res.Body.Close()
		end()
		flight.entry = at.entry
		flight.status = status{entry: at.entry, detail: "origin-failed"}
		return nil
	}
	k, err := c.rules.keep(a, res.StatusCode, &news, requested, received)
	mayKeep := err == nil && k.is(keptStorable) && req.Method == http.MethodGet && res.ContentLength <= c.options.BodyBytesMax &&
		len(res.Trailer) == 0 && res.StatusCode != http.StatusSwitchingProtocols
	if !mayKeep {
		if err == nil && k.is(keptOutdates) && at.entry != nil {
			c.forget(at.primary)
		}
		c.pass(flight, req, res, timer, cancel)
		return nil
	}
	return c.capture(flight, req, res, &news, k, at, fence, timer, cancel)
}

func isFailure(code int) bool {
	return code == 500 || code == 502 || code == 503 || code == 504
}

func forwardReason(a ask, at place) string {
	switch {
	case a.wants(askValidation):
		return "request"
	case at.entry != nil:
		return "stale"
	case at.names != "":
		return "vary-miss"
	}
	return "uri-miss"
}

// validated is after a 304: what is kept is as new as that.
func (c *cache) validated(flight *flight, req *http.Request, a ask, at place, merged *lines, requested, received moment, fence uint64) {
	k, err := c.rules.keep(a, int(at.entry.kept.c.status), merged, requested, received)
	fields, keptErr := c.rules.keptFields(merged)
	if err != nil || keptErr != nil {
		flight.err = errPolicy
		return
	}
	fresh := &entry{kept: k, fields: fields, body: at.entry.body}
	flight.entry = fresh
	flight.status.entry = fresh
	flight.status.stored = k.is(keptStorable) && c.put(at.primary, req.Header, fresh, fence)
}

// handOver makes a fetch the one caller's alone: it takes as long as it takes, and ends with his context, or with the
// function that is returned.
func handOver(req *http.Request, timer *time.Timer, cancel context.CancelFunc) (end func()) {
	timer.Stop()
	over := make(chan struct{})
	go func() {
		select {
		case <-req.Context().Done():
		case <-over:
		}
		cancel()
	}()
	return func() { close(over) }
}

// pass gives the answer to who began, as it comes.
func (c *cache) pass(flight *flight, req *http.Request, res *http.Response, timer *time.Timer, cancel context.CancelFunc) {
	res.Body = &passedBody{ReadCloser: res.Body, end: handOver(req, timer, cancel)}
	flight.status.write(res.Header, c.now())
	flight.response = res
}

// capture gives the answer to who began while it comes, and keeps it when it is there.
func (c *cache) capture(flight *flight, req *http.Request, res *http.Response, news *lines, k kept, at place, fence uint64,
	timer *time.Timer, cancel context.CancelFunc) (keep func()) {
	body, length := res.Body, res.ContentLength
	captured := &capture{changed: make(chan struct{}), handOver: func() func() { return handOver(req, timer, cancel) }}
	res.Body = &captureReader{capture: captured, ctx: req.Context()}
	if res.Header.Get("Date") == "" {
		date := time.Unix(0, int64(c.now().wall)).UTC().Format(http.TimeFormat)
		res.Header.Set("Date", date)
		news.add("Date", date)
	}
	flight.status.stored = true
	flight.status.write(res.Header, c.now())
	flight.response = res
	return func() {
		err := captured.run(body, c.options.BodyBytesMax, length)
		if err == nil {
			return
		}
		timer.Stop()
		cancel()
		defer captured.finish(err) // who has read all of it finds it kept
		if err != io.EOF {
			return
		}
		if fields, err := c.rules.keptFields(news); err == nil {
			c.put(at.primary, req.Header, &entry{kept: k, fields: fields, body: captured.data}, fence)
		}
	}
}

// give makes an answer of what is kept.
func (c *cache) give(req *http.Request, e *entry, how status) *http.Response {
	now := c.now()
	res := &http.Response{
		StatusCode: int(e.kept.c.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Request: req, ContentLength: int64(len(e.body)),
		Body: io.NopCloser(bytes.NewReader(e.body)),
	}
	e.fields.each(func(_ int, name, value string) { res.Header.Add(name, value) })
	res.Header.Set("Age", strconv.FormatInt(e.kept.ageSeconds(now), 10))
	how.write(res.Header, now)
	if res.StatusCode == http.StatusOK && isConditional(req) && hasIt(req.Header, &e.fields, now) {
		res = notModified(res)
	}
	res.Status = fmt.Sprintf("%d %s", res.StatusCode, http.StatusText(res.StatusCode))
	if req.Method == http.MethodHead {
		res.Body = http.NoBody
	}
	if res.StatusCode != http.StatusNotModified {
		res.Header.Set("Content-Length", strconv.Itoa(len(e.body)))
	}
	return res
}

// notModified makes a 304 of an answer.
func notModified(res *http.Response) *http.Response {
	header := http.Header{}
	for name, values := range res.Header {
		if isIn304(name) || name == "Age" || name == "Cache-Status" {
			header[name] = values
		}
	}
	return &http.Response{
		StatusCode: http.StatusNotModified, Status: "304 Not Modified", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Request: res.Request, Body: http.NoBody,
	}
}

// plain is an answer of our own.
func plain(req *http.Request, code int, how status, now moment) *http.Response {
	res := &http.Response{
		StatusCode: code, Status: fmt.Sprintf("%d %s", code, http.StatusText(code)), Proto: "HTTP/1.1", ProtoMajor: 1,
		ProtoMinor: 1, Header: http.Header{}, Request: req, Body: http.NoBody,
	}
	how.write(res.Header, now)
	return res
}

// keyed is what a request means, and its URL if it may be looked up; else a word that says why not.
func (c *cache) keyed(req *http.Request, origin string) (a ask, primary, reason string) {
	a, err := c.rules.ask(req)
	switch {
	case err != nil:
		return a, "", "bypass"
	case req.Method != http.MethodGet && req.Method != http.MethodHead && req.Method != "":
		return a, "", "method"
	case !a.isCacheable(), a.wants(askRange), req.Header.Get("Upgrade") != "", req.Header.Get("Range") != "":
		return a, "", "bypass"
	}
	if _, host, _ := strings.Cut(origin, "://"); strings.ContainsAny(host, `/?#\`) {
		return a, "", "bypass" // with the path behind it, it would be another URL
	}
	if primary = urlOf(req, origin); len(primary) > keyBytesMax || strings.ContainsAny(primary, "\r\n") {
		return a, "", "bypass"
	}
	return a, primary, ""
}

func urlOf(req *http.Request, origin string) string { return origin + req.URL.RequestURI() }

// wrote is after a request that was passed on: it may have changed what is kept.
func (c *cache) wrote(req *http.Request, origin string, code int, header http.Header) {
	if !invalidates(req.Method, code) {
		return
	}
	primary := urlOf(req, origin)
	c.forget(primary)
	c.forgetNamed(primary, header.Get("Location"))
	c.forgetNamed(primary, header.Get("Content-Location"))
}
