package nuthatch

import (
	"bufio"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

func readReply(text string) (reply, error) {
	whole, err := replyReader{bufio.NewReaderSize(strings.NewReader(text), replyLineMax)}.next()
	pieces, piecesErr := replyReader{bufio.NewReaderSize(iotest.OneByteReader(strings.NewReader(text)), replyLineMax)}.next()
	if (err == nil) != (piecesErr == nil) || string(whole.text) != string(pieces.text) || len(whole.list) != len(pieces.list) {
		panic("it depends on how the bytes are split: " + text)
	}
	return whole, err
}

func TestRepliesOfBothVersionsAreRead(t *testing.T) {
	for text, wanted := range map[string]reply{
		"+OK\r\n":                    {kind: '+', text: []byte("OK")},
		"-ERR no\r\n":                {kind: '-', text: []byte("ERR no")},
		"!6\r\nERR no\r\n":           {kind: '-', text: []byte("ERR no")},
		":-5\r\n":                    {kind: ':', number: -5},
		"$2\r\nhi\r\n":               {kind: '$', text: []byte("hi")},
		"$-1\r\n":                    {kind: '$', isNull: true},
		"_\r\n":                      {kind: '_', isNull: true},
		"#t\r\n":                     {kind: '#', number: 1},
		">2\r\n+a\r\n+b\r\n:1\r\n":   {kind: ':', number: 1}, // a push comes before
		"(123456789012345678901\r\n": {kind: '(', text: []byte("123456789012345678901")},
		"$0\r\n\r\n":                 {kind: '$', text: []byte{}},
	} {
		got, err := readReply(text)
		if err != nil || got.kind != wanted.kind || got.isNull != wanted.isNull || got.number != wanted.number ||
			string(got.text) != string(wanted.text) {
			t.Errorf("%q: %+v %v", text, got, err)
		}
	}
	for _, text := range []string{"%1\r\n+a\r\n:7\r\n", "*2\r\n$1\r\na\r\n:7\r\n"} {
		if got, err := readReply(text); err != nil || got.field("a").number != 7 || !got.field("b").isNull {
			t.Errorf("%q: %+v %v", text, got, err)
		}
	}
}

func TestWhatIsNoReplyIsRefused(t *testing.T) {
	for _, text := range []string{
		"\r\n", "+OK\n", "?\r\n", ":1x\r\n", "$-2\r\n", "$1\r\nab\r\n", "#x\r\n", "*-2\r\n", "$x\r\n",
		"$99999999999\r\n", "*99999999999\r\n", strings.Repeat("*1\r\n", 20), "+" + strings.Repeat("a", 2*replyLineMax) + "\r\n",
	} {
		if got, err := readReply(text); !errors.Is(err, errProtocol) {
			t.Errorf("%.20q: %+v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "+OK", "$5\r\nab", "*2\r\n+a\r\n"} {
		if got, err := readReply(text); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %+v %v", text, got, err)
		}
	}
}

func TestMemoryGrowsWithWhatHasComeNotWithWhatIsPromised(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := 0; i < 20; i++ {
		readReply("$536870912\r\nfew")
		readReply("*1048576\r\n+a\r\n")
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
		t.Errorf("%d bytes for promises", grown)
	}
}

func FuzzReply(f *testing.F) {
	for _, seed := range []string{"+OK\r\n", "%1\r\n$1\r\na\r\n:7\r\n", "$3\r\nabc\r\n", "*2\r\n_\r\n#t\r\n", ">1\r\n+a\r\n:1\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(_ *testing.T, text string) { readReply(text) })
}
