package process

import (
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func TestOnlyTheProgramsOwnUnchangedPagesAreTakenOut(t *testing.T) {
	const smaps = `00400000-00d8a000 r-xp 00000000 fe:00 17 /usr/bin/crisper
Rss:                8336 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me sd
00d8a000-018ba000 r--p 0098a000 fe:00 17 /usr/bin/crisper
Anonymous:             4 kB
018ba000-01946000 rw-p 014ba000 fe:00 17 /usr/bin/crisper
Anonymous:             0 kB
7f00000000-7f00001000 r-xp 00000000 fe:00 18 /opt/usr/bin/crisper.so
Anonymous:             0 kB
7ffd0000-7ffe0000 r-xp 00000000 00:00 0  [vdso]
Anonymous:             0 kB
7fff0000-7fff1000 r--p 00000000 fe:00 17                         /usr/bin/crisper
Anonymous:             0 kB
`
	want := []region{{0x400000, 0xd8a000}, {0x7fff0000, 0x7fff1000}}
	if got := programRegions(strings.NewReader(smaps), "/usr/bin/crisper"); !reflect.DeepEqual(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

func TestAProgramGoesOnWithoutThePagesOfItsStart(t *testing.T) {
	before := filePages(t)
	unmapProgram()
	after := filePages(t)
	t.Logf("%d kB of files before, %d kB after", before, after)
	if after >= before {
		t.Errorf("%d kB of files before, %d kB after", before, after)
	}
}

func filePages(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "RssFile:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kb
}
