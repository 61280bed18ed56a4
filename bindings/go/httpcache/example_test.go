//go:build cgo

package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"nuthatch"
	"nuthatch/httpcache"
)

func Example() {
	store, err := nuthatch.New(nuthatch.Options{MemoryBytes: 16 << 20})
	if err != nil {
		panic(err)
	}
	defer store.Close()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "a slow answer")
	}))
	defer origin.Close()

	client := &http.Client{Transport: httpcache.NewTransport(store, nil, httpcache.Options{})}
	for i := 0; i < 2; i++ {
		res, err := client.Get(origin.URL)
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		status, _, _ := strings.Cut(res.Header.Get("Cache-Status"), "; ttl=")
		fmt.Println(string(body), "("+status+")")
	}
	// Output:
	// a slow answer (nuthatch; fwd=uri-miss; fwd-status=200; stored)
	// a slow answer (nuthatch; hit)
}
