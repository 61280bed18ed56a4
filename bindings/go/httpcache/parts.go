//go:build cgo

package httpcache

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
)

func wantsPart(req *http.Request) bool {
	return req.Header.Get("Range") != "" && (req.Method == http.MethodGet || req.Method == "")
}

// of is the value of Content-Range.
func (p part) of(bodyBytes int) string {
	return fmt.Sprintf("bytes %d-%d/%d", p.start, p.end-1, bodyBytes)
}

// partial is the body of a 206 that has the parts, and says in the header what it is.
func partial(header http.Header, body []byte, parts []part) []byte {
	if len(parts) == 1 {
		header.Set("Content-Range", parts[0].of(len(body)))
		return body[parts[0].start:parts[0].end]
	}
	var several bytes.Buffer // which has no errors to look at
	writer := multipart.NewWriter(&several)
	head := textproto.MIMEHeader{}
	if kind := header.Get("Content-Type"); kind != "" {
		head.Set("Content-Type", kind)
	}
	for _, part := range parts {
		head.Set("Content-Range", part.of(len(body)))
		to, _ := writer.CreatePart(head)
		to.Write(body[part.start:part.end])
	}
	writer.Close()
	header.Set("Content-Type", "multipart/byteranges; boundary="+writer.Boundary())
	return several.Bytes()
}
