package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

// Repr is Python's repr of a text.
func Repr(s string) string {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	var b strings.Builder
	b.WriteByte(quote)
	for _, r := range s {
		switch {
		case r == rune(quote) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r > 0x7f && !unicode.IsPrint(r) && r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte(quote)
	return b.String()
}

// reprSet is Python's repr of a set of texts, in our order.
func reprSet(list []string) string {
	if len(list) == 0 {
		return "set()"
	}
	return "{" + reprs(list) + "}"
}

func reprs(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = Repr(s)
	}
	return strings.Join(quoted, ", ")
}

// ReprJSON is Python's repr of what a JSON text stands for; members keep their order.
func ReprJSON(text json.RawMessage) string {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var b strings.Builder
	if err := reprValue(&b, d); err != nil {
		return string(text)
	}
	return b.String()
}

func reprValue(b *strings.Builder, d *json.Decoder) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch v := token.(type) {
	case json.Delim:
		return reprNested(b, d, v)
	case string:
		b.WriteString(Repr(v))
	case json.Number:
		b.WriteString(v.String())
	case bool:
		b.WriteString(map[bool]string{true: "True", false: "False"}[v])
	default:
		b.WriteString("None")
	}
	return nil
}

func reprNested(b *strings.Builder, d *json.Decoder, open json.Delim) error {
	b.WriteString(open.String())
	for i := 0; d.More(); i++ {
		if i > 0 {
			b.WriteString(", ")
		}
		if err := reprValue(b, d); err != nil {
			return err
		}
		if open == '{' {
			b.WriteString(": ")
			if err := reprValue(b, d); err != nil {
				return err
			}
		}
	}
	end, err := d.Token()
	if err == nil {
		b.WriteString(end.(json.Delim).String())
	}
	return err
}
