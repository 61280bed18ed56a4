//go:build cgo

package httpcache

import (
	"net/http"
	"strconv"
	"strings"
)

// A status says how an answer was come by (RFC 9211).
type status struct {
	forward      string // why the origin was asked: "uri-miss" and the like; empty: it was not
	originStatus int
	stored       bool
	collapsed    bool
	detail       string
	entry        *entry // whose time left is told
}

func (s *status) write(header http.Header, now moment) {
	words := []string{"nuthatch"}
	if s.forward == "" && s.detail != "only-if-cached" {
		words = append(words, "hit")
	} else if s.forward != "" {
		words = append(words, "fwd="+s.forward)
		if s.originStatus != 0 {
			words = append(words, "fwd-status="+strconv.Itoa(s.originStatus))
		}
	}
	if s.entry != nil {
		words = append(words, "ttl="+strconv.FormatInt(s.entry.kept.freshSeconds(now), 10))
	}
	if s.stored {
		words = append(words, "stored")
	}
	if s.collapsed {
		words = append(words, "collapsed")
	}
	if s.detail != "" {
		words = append(words, "detail="+s.detail)
	}
	header.Add("Cache-Status", strings.Join(words, "; "))
}
