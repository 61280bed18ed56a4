package nuthatch

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fakeServer answers each command as answer says, in the protocol's own bytes; nothing: it closes the connection.
func fakeServer(t *testing.T, answer func(words []string) string) *Store {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	serve := func(conn net.Conn) {
		defer conn.Close()
		requests := replyReader{bufio.NewReaderSize(conn, replyLineMax)}
		for {
			request, err := requests.next()
			if err != nil {
				return
			}
			var said []string
			for _, word := range request.list {
				said = append(said, string(word.text))
			}
			reply := "+PONG\r\n"
			if said[0] == "HELLO" {
				reply = "%0\r\n"
			} else if said[0] != "PING" {
				reply = answer(said)
			}
			if reply == "" {
				return
			}
			if _, err := conn.Write([]byte(reply)); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	store, err := New(Options{Server: ServerOptions{Address: listener.Addr().String(), Timeout: 20 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// A plainServer keeps values as Redis does, and has no command of nuthatch's.
type plainServer struct {
	mutex  sync.Mutex
	values map[string]string
}

func (p *plainServer) answer(words []string) string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	value, is := "", false
	if len(words) > 1 {
		value, is = p.values[words[1]]
	}
	switch {
	case words[0] == "SET":
		p.values[words[1]] = words[2]
		return "+OK\r\n"
	case words[0] == "GET" && is:
		return string(command(nil, []byte(value))[len("*1\r\n"):])
	case words[0] == "GET":
		return "_\r\n"
	case words[0] == "DEL" && is:
		delete(p.values, words[1])
		return ":1\r\n"
	case words[0] == "DEL":
		return ":0\r\n"
	case words[0] == "FLUSHDB":
		p.values = map[string]string{}
		return "+OK\r\n"
	case words[0] == "INCRBY":
		p.values[words[1]] = words[2]
		return ":" + words[2] + "\r\n"
	}
	return "-ERR unknown command '" + words[0] + "'\r\n"
}

func newPlainStore(t *testing.T) *Store {
	return fakeServer(t, (&plainServer{values: map[string]string{}}).answer)
}

func TestWhatAPlainServerCannotKeepIsLoadedEachTimeAndNobodyWaits(t *testing.T) {
	store := newPlainStore(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	loads := 0
	for _, option := range []Option{SoftTTL(time.Minute), Tags("t"), Flags(1)} {
		for i := 0; i < 2; i++ {
			value, err := store.GetOrLoad(ctx, Key("k"), nil, func(context.Context) ([]byte, error) {
				loads++
				return []byte("v"), nil
			}, option)
			if string(value) != "v" || err != nil {
				t.Fatalf("%q %v", value, err)
			}
		}
	}
	for i := 0; i < 2; i++ {
		_, err := store.GetOrLoad(ctx, Key("k"), nil, func(context.Context) ([]byte, error) {
			loads++
			return nil, ErrMissing
		}, NegativeTTL(time.Minute))
		if err != ErrMissing {
			t.Fatal(err)
		}
	}
	if loads != 8 {
		t.Errorf("%d loads", loads)
	}
	if leases := &store.engine.(*server).leases; len(leases.byKey) != 0 {
		t.Errorf("%d leases are left", len(leases.byKey))
	}
}

func TestAPlainServersKeyThatIsWrittenMeanwhileIsNotFilled(t *testing.T) {
	store := newPlainStore(t)
	for what, touch := range map[string]func() error{
		"Set":    func() error { return store.Set(Key("k"), Key("new")) },
		"Delete": func() error { store.Delete(Key("k")); return nil },
		"Clear":  store.Clear,
		"Increment": func() error {
			_, err := store.Increment(Key("k"), 1)
			return err
		},
		"Batch.Set":    func() error { return store.SetMany([][]byte{Key("k")}, [][]byte{Key("new")}, 0) },
		"Batch.Delete": func() error { batch := store.NewBatch(); batch.Delete(Key("k")); return batch.Run() },
	} {
		store.Delete(Key("k"))
		if _, err := store.GetOrLoad(context.Background(), Key("k"), nil, func(context.Context) ([]byte, error) {
			return []byte("old"), touch()
		}); err != nil {
			t.Error(what, err)
		}
		if value, _ := store.Get(Key("k"), nil); string(value) == "old" {
			t.Errorf("%s: %q", what, value)
		}
	}
}

func TestAReplyThatIsNoneOfTheCommandsIsAnError(t *testing.T) {
	for _, reply := range []string{"*1\r\n$1\r\na\r\n", "*2\r\n$1\r\n0\r\n*1\r\n:1\r\n", "%1\r\n+a\r\n+b\r\n", "#t\r\n", "+OK\r\n", ":5\r\n", "$1\r\n5\r\n", "_\r\n"} {
		store := fakeServer(t, func(words []string) string { return reply })
		kind := reply[0]
		_, err := store.Get(Key("k"), nil)
		if isFine := kind == '$' && err == nil || kind == '_' && err == ErrMissing; !isFine && !errors.Is(err, errProtocol) {
			t.Errorf("Get: %q: %v", reply, err)
		}
		batch := store.NewBatch()
		batch.Get(Key("k"))
		if err = batch.Run(); kind != '$' && kind != '_' && !errors.Is(err, errProtocol) {
			t.Errorf("Batch: %q: %v", reply, err)
		}
		_, countErr := store.Count()
		_, sumErr := store.Increment(Key("k"), 1)
		if err := store.Range(func(_, _ []byte) bool { t.Error("a key"); return false }); !errors.Is(err, errProtocol) {
			t.Errorf("Range: %q: %v", reply, err)
		}
		for what, err := range map[string]error{
			"Count": countErr, "Increment": sumErr, "Delete": store.Delete(Key("k")), "Touch": store.Touch(Key("k"), time.Hour),
		} {
			if kind != ':' && !errors.Is(err, errProtocol) {
				t.Errorf("%s: %q: %v", what, reply, err)
			}
		}
	}
	store := fakeServer(t, func(words []string) string { return "-ERR broken\r\n" })
	var serverError *ServerError
	if err := store.Touch(Key("k"), 0); !errors.As(err, &serverError) {
		t.Error(err)
	}
}

func TestAReplyThatNobodyAskedForIsNobodysAnswer(t *testing.T) {
	store := fakeServer(t, func(words []string) string {
		mine := string(command(nil, []byte(words[1]))[len("*1\r\n"):])
		return mine + "$5\r\nwrong\r\n"
	})
	for _, key := range []string{"a", "b", "c"} {
		if value, err := store.Get(Key(key), nil); string(value) != key {
			t.Errorf("%s: %q %v", key, value, err)
		}
	}
}

func TestAServerThatClosesEachTimeIsAskedTwiceAtMost(t *testing.T) {
	var asked atomic.Int32
	store := fakeServer(t, func(words []string) string {
		if asked.Add(1) > 50 {
			return "_\r\n"
		}
		return ""
	})
	if _, err := store.Get(Key("k"), nil); err == nil || errors.Is(err, ErrMissing) {
		t.Error(err)
	}
	if count := asked.Load(); count > 2 {
		t.Errorf("%d times", count)
	}
}

func TestAReplyIsBoundedAltogether(t *testing.T) {
	for _, text := range []string{"*1048576\r\n*1\r\n", "*2\r\n$4\r\nabcd\r\n$536870912\r\n"} {
		if _, err := readReply(text); !errors.Is(err, errProtocol) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
