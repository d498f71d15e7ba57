package pool_test

import (
	"bytes"
	"strings"
	"testing"

	"crisper/integration/scripts"
	"crisper/supervisor/pool/script"
)

func TestThePoolDoesWhatTheScriptsTell(t *testing.T) { scripts.Play(t, replay) }

func replay(t *testing.T, text string) string {
	var got bytes.Buffer
	if err := script.Run(strings.NewReader(text), &got); err != nil {
		t.Fatal(err)
	}
	return got.String()
}
