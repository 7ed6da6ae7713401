package main

import (
	"bytes"
	"os"
	"sync"
	"testing"
)

// Of several processes that start at once on a new directory only one gets the store, but the key that it has read must be the one that
// stays: what is sealed with another cannot be opened after a restart.
func TestSecretsMadeAtOnceAreTheSame(t *testing.T) {
	for range 20 {
		dir := t.TempDir()
		made := make([][]byte, 8)
		var start, ended sync.WaitGroup
		start.Add(1)
		for i := range made {
			ended.Go(func() {
				start.Wait()
				s, err := openSecrets(dir)
				if err != nil {
					t.Error(err)
					return
				}
				made[i] = s.derive("test")
			})
		}
		start.Done()
		ended.Wait()
		for i := range made {
			if !bytes.Equal(made[i], made[0]) {
				t.Fatal("two processes have two keys")
			}
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Fatalf("the directory has %v, %v", entries, err)
		}
	}
}
