package load

import (
	"encoding/base64"
	"strings"
	"testing"
)

func TestACopyHasItsOwnIDTagAndArguments(t *testing.T) {
	tmpl := Template{Task: "x.y", Queue: "q", parts: `{"body": "@BODY@", "id": "@ID@", "root": "@ID@", "tag": "@TAG@"}`}
	text, err := tmpl.Render(Message{ID: "one", Args: []any{1, "two"}})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "@") || strings.Count(text, `"one"`) != 2 {
		t.Errorf("got %s", text)
	}
	body := base64.StdEncoding.EncodeToString([]byte(`[[1,"two"],{},{"callbacks":null,"chain":null,"chord":null,"errbacks":null}]`))
	if !strings.Contains(text, body) {
		t.Errorf("the body is not %s in %s", body, text)
	}
}

func TestIDsAreDistinctAndShapedLikeCelerys(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range Messages(1000) {
		if len(m.ID) != 36 || m.ID[14] != '4' || seen[m.ID] {
			t.Fatalf("got %q", m.ID)
		}
		seen[m.ID] = true
	}
}
