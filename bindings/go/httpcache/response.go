//go:build cgo

package httpcache

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// give makes an answer of what is kept: all of it, parts of it, or that the client has it.
func (c *cache) give(req *http.Request, e *entry, how status) *http.Response {
	now, header := c.now(), http.Header{}
	e.fields.each(func(_ int, name, value string) { header.Add(name, value) })
	header.Set("Age", strconv.FormatInt(e.kept.ageSeconds(now), 10))
	how.write(header, now)
	code, body := int(e.kept.c.status), e.body
	if code == http.StatusOK && isConditional(req) && hasIt(req.Header, &e.fields, now) {
		return notModified(req, header)
	}
	if code == http.StatusOK && wantsPart(req) {
		parts, isThere := partsOf(req.Header, &e.fields, len(body), now)
		if !isThere {
			res := plain(req, http.StatusRequestedRangeNotSatisfiable, how, now)
			res.Header.Set("Content-Range", fmt.Sprintf("bytes */%d", len(body)))
			return res
		}
		if len(parts) > 0 {
			code, body = http.StatusPartialContent, partial(header, body, parts)
		}
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	res := bodiless(req, code, header)
	res.ContentLength = int64(len(body))
	if req.Method != http.MethodHead {
		res.Body = io.NopCloser(bytes.NewReader(body))
	}
	return res
}

func bodiless(req *http.Request, code int, header http.Header) *http.Response {
	return &http.Response{
		StatusCode: code, Status: fmt.Sprintf("%d %s", code, http.StatusText(code)), Proto: "HTTP/1.1", ProtoMajor: 1,
		ProtoMinor: 1, Header: header, Request: req, Body: http.NoBody,
	}
}

// notModified makes a 304 of an answer with the header.
func notModified(req *http.Request, header http.Header) *http.Response {
	some := http.Header{}
	for name, values := range header {
		if isIn304(name) || name == "Age" || name == "Cache-Status" {
			some[name] = values
		}
	}
	return bodiless(req, http.StatusNotModified, some)
}

// plain is an answer of our own.
func plain(req *http.Request, code int, how status, now moment) *http.Response {
	res := bodiless(req, code, http.Header{})
	how.write(res.Header, now)
	return res
}
