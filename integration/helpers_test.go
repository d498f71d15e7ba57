//go:build integration

package integration

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"crisper/integration/harness"
)

func contains(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// fetch is the body of a page that must be there.
func fetch(t *testing.T, address string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(harness.Deadline(t, 60*time.Second), http.MethodGet, address, nil)
	harness.Must(t, err)
	response, err := http.DefaultClient.Do(request)
	harness.Must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	harness.Must(t, err)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s answered %d: %s", address, response.StatusCode, body)
	}
	return string(body)
}
