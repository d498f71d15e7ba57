package options

import "regexp"

var (
	// Greedy up to the last @ of a token: a password may hold an unescaped @ or /.
	userinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^\s;,"']*@`)
	secret   = regexp.MustCompile(`(?i)((?:password|passwd|secret|token|sentinel_kwargs)[A-Za-z_]*=)[^&\s;,"']*`)
)

// Redact hides the passwords of the URLs in a text.
func Redact(text string) string {
	text = userinfo.ReplaceAllString(text, "$1**@")
	return secret.ReplaceAllString(text, "$1**")
}
