//go:build cgo

package httpcache

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

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
