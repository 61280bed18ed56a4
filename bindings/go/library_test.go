//go:build cgo

package nuthatch

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

func newTestStore(t testing.TB, options Options) *Store {
	if options.MemoryBytes == 0 {
		options.MemoryBytes = 16 << 20
	}
	store, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func TestTheLibraryConforms(t *testing.T) {
	for _, c := range readCases(t) {
		t.Run(c.name, func(t *testing.T) {
			player := &player{t: t, now: 1000 * time.Second, versions: map[string]uint64{}, leases: map[string]uint64{}}
			options := c.options()
			options.Clock = player.clock
			player.store = newTestStore(t, options)
			player.restart = func() (uint64, error) {
				path := filepath.Join(t.TempDir(), "saved")
				if err := player.store.Save(context.Background(), path); err != nil {
					return 0, err
				}
				store, count, err := Restore(options, path)
				if err == nil {
					player.store = store
					t.Cleanup(func() { store.Close() })
				}
				return count, err
			}
			player.play(c)
		})
	}
}
