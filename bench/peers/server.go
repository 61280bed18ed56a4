// The collections of a db.json by Go's net/http: every answer is kept as it is sent, the filter has an index.
// go run server.go PORT db.json
package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
)

type collection struct {
	items  [][]byte
	byID   map[string][]byte
	byUser map[string][][]byte
	list   []byte // of all items; nil: to be joined anew
}

type server struct {
	lock        sync.RWMutex
	collections map[string]*collection
}

func join(items [][]byte) []byte {
	size := 2
	for _, item := range items {
		size += len(item) + 1
	}
	text := append(make([]byte, 0, size), '[')
	for i, item := range items {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, item...)
	}
	return append(text, ']')
}

func word(value any) string {
	switch known := value.(type) {
	case string:
		return known
	case float64:
		return strconv.FormatFloat(known, 'f', -1, 64)
	}
	return ""
}

func (found *collection) add(item map[string]any) []byte {
	text, err := json.Marshal(item)
	if err != nil {
		log.Fatal(err)
	}
	found.items = append(found.items, text)
	found.byID[word(item["id"])] = text
	if user := word(item["userId"]); user != "" {
		found.byUser[user] = append(found.byUser[user], text)
	}
	found.list = nil
	return text
}

func answer(w http.ResponseWriter, status int, text []byte) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	w.Write(text)
}

func (s *server) create(w http.ResponseWriter, r *http.Request, found *collection) {
	var item map[string]any
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &item)
	}
	if err != nil || item == nil {
		answer(w, http.StatusBadRequest, []byte("{}"))
		return
	}
	s.lock.Lock()
	item["id"] = strconv.Itoa(len(found.items) + 1)
	text := found.add(item)
	s.lock.Unlock()
	answer(w, http.StatusCreated, text)
}

func (s *server) wholeList(found *collection) []byte {
	s.lock.RLock()
	list := found.list
	s.lock.RUnlock()
	if list == nil {
		s.lock.Lock()
		found.list = join(found.items)
		list = found.list
		s.lock.Unlock()
	}
	return list
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, id, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	found := s.collections[name]
	switch {
	case found == nil:
		answer(w, http.StatusNotFound, []byte("{}"))
	case r.Method == http.MethodPost && id == "":
		s.create(w, r, found)
	case id != "":
		s.lock.RLock()
		text := found.byID[id]
		s.lock.RUnlock()
		if text == nil {
			answer(w, http.StatusNotFound, []byte("{}"))
			return
		}
		answer(w, http.StatusOK, text)
	case r.URL.RawQuery != "":
		user := r.URL.Query().Get("userId")
		s.lock.RLock()
		text := join(found.byUser[user])
		s.lock.RUnlock()
		answer(w, http.StatusOK, text)
	default:
		answer(w, http.StatusOK, s.wholeList(found))
	}
}

func main() {
	var document map[string][]map[string]any
	text, err := os.ReadFile(os.Args[2])
	if err == nil {
		err = json.Unmarshal(text, &document)
	}
	if err != nil {
		log.Fatal(err)
	}
	s := &server{collections: map[string]*collection{}}
	for name, items := range document {
		found := &collection{byID: map[string][]byte{}, byUser: map[string][][]byte{}}
		s.collections[name] = found
		for _, item := range items {
			found.add(item)
		}
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], s))
}
