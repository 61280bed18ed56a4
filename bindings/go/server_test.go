package nuthatch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What only a store in this process does: a case with such a step is left out here.
var libraryOnly = []string{
	"advance", // the server's clock is the machine's
	"new", "restart", "append", "prepend",
}

// startServer starts a cache server, and returns its address.
func startServer(t testing.TB) string {
	program := os.Getenv("NUTHATCH")
	if program == "" {
		t.Skip("NUTHATCH does not say where the program is")
	}
	folder, err := os.MkdirTemp("", "nuthatch-go")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "socket")
	server := exec.Command(program, "cache", "--listen", "unix://"+path, "--threads", "1", "--memory", "64M")
	server.Stderr = os.Stderr
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "LD_PRELOAD=") { // the program has its own runtime
			server.Env = append(server.Env, setting)
		}
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
		os.RemoveAll(folder)
	})
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("unix", path); err == nil {
			conn.Close()
			return "unix:" + path
		}
	}
	t.Fatal("the server does not listen")
	return ""
}

func newServerStore(t testing.TB, address string) *Store {
	store, err := New(Options{Server: ServerOptions{Address: address, Timeout: 20 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func TestAServerConforms(t *testing.T) {
	store, played := newServerStore(t, startServer(t)), 0
	for _, c := range readCases(t) {
		t.Run(c.name, func(t *testing.T) {
			for _, step := range libraryOnly {
				if c.has(step) {
					t.Skip("left out:", step)
				}
			}
			if err := store.Clear(); err != nil {
				t.Fatal(err)
			}
			player := &player{t: t, store: store, versions: map[string]uint64{}, leases: map[string]uint64{}}
			player.play(c)
			played++
		})
	}
	if played < 20 {
		t.Errorf("%d cases were played", played)
	}
}

func TestAServersValuesLiveAsLongAsTheyAreTold(t *testing.T) {
	store := newServerStore(t, startServer(t))
	if err := store.Set(Key("k"), []byte("v"), TTL(time.Hour), Flags(7)); err != nil {
		t.Fatal(err)
	}
	item, err := store.GetItem(Key("k"), nil)
	if err != nil || item.TTL <= time.Hour-time.Minute || item.TTL > time.Hour || item.Flags != 7 || item.Version == 0 {
		t.Errorf("%+v %v", item, err)
	}
	if err := store.Touch(Key("k"), 0); err != nil {
		t.Error(err)
	}
	if item, _ = store.GetItem(Key("k"), nil); item.TTL != 0 {
		t.Errorf("after Touch with 0 it has %v", item.TTL)
	}
	if err := store.Touch(Key("none"), 0); !errors.Is(err, ErrMissing) {
		t.Error(err)
	}
	if err := store.Set(Key("brief"), []byte("v"), TTL(time.Millisecond)); err != nil {
		t.Error(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		if _, err := store.Get(Key("brief"), nil); errors.Is(err, ErrMissing) {
			break
		} else if err != nil || time.Now().After(deadline) {
			t.Fatal("it does not expire", err)
		}
	}
}

func TestWhatAServerCannotDoItSays(t *testing.T) {
	store := newServerStore(t, startServer(t))
	for what, err := range map[string]error{
		"Append":       store.Append(Key("k"), Key("v")),
		"Save":         store.Save(context.Background(), "/nonexistent/file"),
		"KeepTTL":      store.Set(Key("k"), Key("v"), KeepTTL(), SoftTTL(time.Second)),
		"negative TTL": store.Set(Key("k"), Key("v"), TTL(-1)),
	} {
		if !errors.Is(err, ErrNotSupported) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := New(Options{Server: ServerOptions{Address: "unix:/nonexistent/socket"}})
	if err == nil || !strings.Contains(err.Error(), "/nonexistent/socket") {
		t.Error(err)
	}
}

func TestTwoProcessesLoadOnceThroughAServer(t *testing.T) {
	address := startServer(t)
	var loads atomic.Int32
	var group sync.WaitGroup
	for i := 0; i < 2; i++ { // a store each, as two processes would have
		store := newServerStore(t, address)
		for j := 0; j < 8; j++ {
			group.Add(1)
			go func() {
				defer group.Done()
				value, err := store.GetOrLoad(context.Background(), Key("k"), nil, func(context.Context) ([]byte, error) {
					loads.Add(1)
					time.Sleep(20 * time.Millisecond)
					return []byte("v"), nil
				}, TTL(time.Minute), Tags("t"))
				if string(value) != "v" || err != nil {
					t.Errorf("%q %v", value, err)
				}
			}()
		}
	}
	group.Wait()
	if loads.Load() != 1 {
		t.Errorf("%d loads", loads.Load())
	}
}

func TestSpacesOfAServerAreItsDatabases(t *testing.T) {
	store := newServerStore(t, startServer(t))
	three, err := store.Space(3)
	if err != nil {
		t.Fatal(err)
	}
	store.Set(Key("k"), Key("zero"))
	three.Set(Key("k"), Key("three"))
	for i := 0; i < 3; i++ { // the same connections
		zero, _ := store.Get(Key("k"), nil)
		other, _ := three.Get(Key("k"), nil)
		if string(zero) != "zero" || string(other) != "three" {
			t.Errorf("%q %q", zero, other)
		}
	}
	far, _ := store.Space(500)
	if _, err := far.Get(Key("k"), nil); err == nil {
		t.Error("there is a database 500")
	}
	if value, err := store.Get(Key("k"), nil); string(value) != "zero" || err != nil {
		t.Error("after an error", value, err)
	}
}

func TestManyKeysAreReadFromAServer(t *testing.T) {
	store := newServerStore(t, startServer(t))
	var keys, values [][]byte
	for i := 0; i < 1000; i++ {
		keys = append(keys, []byte(fmt.Sprintf("%0*d", 1+i%200, i)))
		values = append(values, []byte(strings.Repeat("v", i%500)))
	}
	if err := store.SetMany(keys, values, time.Minute); err != nil {
		t.Fatal(err)
	}
	got, err := store.GetMany(append(keys, Key("none")))
	if err != nil || got[1000] != nil {
		t.Fatal(err)
	}
	for i := range values {
		if string(got[i]) != string(values[i]) {
			t.Fatalf("%d: %q", i, got[i])
		}
	}
	seen := map[string]bool{}
	if err := store.Range(func(key, _ []byte) bool { seen[string(key)] = true; return true }); err != nil || len(seen) != 1000 {
		t.Errorf("%d seen, %v", len(seen), err)
	}
}

func TestAConnectionThatTheServerClosedIsNotUsed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			// A server that says so much to each, however it is asked, and goes.
			conn.Write([]byte("%0\r\n+PONG\r\n"))
			conn.Close()
		}
	}()
	pool := newPool(ServerOptions{Address: listener.Addr().String()})
	first, err := pool.take()
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 1000 && first.isOpen(); i++ {
		first.conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		first.replies.from.ReadByte()
	}
	pool.give(first, false)
	second, err := pool.take()
	if err != nil || second == first {
		t.Error("the closed one is given again", err)
	}
}
