package main

import (
	"os"
	"strings"
	"testing"
)

// A pipe or a device is refused before it is opened, which could wait for ever.
func TestImportRefusesWhatIsNoFile(t *testing.T) {
	if err := checkReadable(os.DevNull); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
		t.Errorf("the error is %v", err)
	}
	if err := checkReadable("cmd_import_test.go"); err != nil {
		t.Error(err)
	}
}
