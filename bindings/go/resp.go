package nuthatch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// What a server may say at most; a server that says more is given up.
const (
	replyLineMax    = 64 << 10
	replyBulkMax    = 512 << 20
	replyElementMax = 1 << 20
	replyDepthMax   = 8
	replyPiece      = 64 << 10 // memory grows with what has come, not with what is promised
)

var errProtocol = errors.New("nuthatch: the server does not speak the Redis protocol")

// A reply is one value of RESP2 or RESP3.
type reply struct {
	kind   byte // the byte it began with: + - : $ * % ~ _ # , ( =
	isNull bool
	text   []byte // + - $ ( , =
	number int64  // : and #
	list   []reply
}

// What is left of the most that one reply may have altogether.
type replyBudget struct{ elements, bytes int64 }

// replyReader reads replies, strictly.
type replyReader struct{ from *bufio.Reader }

// next reads one reply. Pushes are skipped. A "-" is a reply too, and no error.
func (r replyReader) next() (reply, error) {
	for {
		got, err := r.read(0, &replyBudget{elements: replyElementMax, bytes: replyBulkMax})
		if err != nil || got.kind != '>' {
			return got, err
		}
	}
}

func (r replyReader) line() ([]byte, error) {
	line, err := r.from.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		return nil, errProtocol
	}
	if err != nil {
		return nil, unexpected(err)
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return nil, errProtocol
	}
	return line[:len(line)-2], nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (r replyReader) read(depth int, left *replyBudget) (reply, error) {
	line, err := r.line()
	if err != nil {
		return reply{}, err
	}
	got, rest := reply{kind: line[0]}, line[1:]
	switch got.kind {
	case '+', '-', ',', '(':
		got.text = append([]byte{}, rest...)
		return got, nil
	case '_':
		got.isNull = true
		return got, nil
	case '#':
		if string(rest) != "t" && string(rest) != "f" {
			return got, errProtocol
		}
		if rest[0] == 't' {
			got.number = 1
		}
		return got, nil
	case ':':
		got.number, err = strconv.ParseInt(string(rest), 10, 64)
		return got, protocolError(err)
	case '$', '=', '!':
		return r.bulk(got, rest, left)
	case '*', '%', '~', '>':
		return r.elements(got, rest, depth, left)
	}
	return got, errProtocol
}

func protocolError(err error) error {
	if err != nil {
		return errProtocol
	}
	return nil
}

func (r replyReader) bulk(got reply, size []byte, budget *replyBudget) (reply, error) {
	count, err := strconv.ParseInt(string(size), 10, 64)
	if err != nil || count < -1 || count > budget.bytes {
		return got, errProtocol
	}
	if count == -1 {
		got.isNull = true
		return got, nil
	}
	budget.bytes -= count
	for left := int(count); left > 0; {
		piece := left
		if piece > replyPiece && piece > len(got.text) { // twice as much each time
			if piece = len(got.text); piece < replyPiece {
				piece = replyPiece
			}
		}
		start := len(got.text)
		got.text = append(got.text, make([]byte, piece)...)
		if _, err := io.ReadFull(r.from, got.text[start:]); err != nil {
			return got, unexpected(err)
		}
		left -= piece
	}
	if got.text == nil {
		got.text = []byte{}
	}
	var end [2]byte
	if _, err := io.ReadFull(r.from, end[:]); err != nil {
		return got, unexpected(err)
	}
	if end != [2]byte{'\r', '\n'} {
		return got, errProtocol
	}
	if got.kind == '!' {
		got.kind = '-'
	}
	return got, nil
}

func (r replyReader) elements(got reply, size []byte, depth int, left *replyBudget) (reply, error) {
	count, err := strconv.ParseInt(string(size), 10, 64)
	if err != nil || count < -1 || count > left.elements || depth == replyDepthMax {
		return got, errProtocol
	}
	if got.isNull = count == -1; got.isNull {
		return got, nil
	}
	if got.kind == '%' {
		count *= 2
	}
	left.elements -= count
	for ; count > 0; count-- {
		element, err := r.read(depth+1, left)
		if err != nil {
			return got, err
		}
		got.list = append(got.list, element)
	}
	return got, nil
}

// err is what the server says is wrong.
func (r *reply) err() error {
	if r.kind != '-' {
		return nil
	}
	return &ServerError{Text: string(r.text)}
}

// integer is the number of a command that answers with one.
func (r *reply) integer() (int64, error) {
	if r.kind != ':' {
		return 0, r.unexpected()
	}
	return r.number, nil
}

// isValue is a value, or that there is none.
func (r *reply) isValue() bool { return r.isNull || r.kind == '$' }

func (r *reply) unexpected() error {
	return fmt.Errorf("%w: a reply of another kind than the command's", errProtocol)
}

// field is what a map has under name, in RESP3's form and in RESP2's.
func (r *reply) field(name string) *reply {
	for i := 0; i+1 < len(r.list); i += 2 {
		if string(r.list[i].text) == name {
			return &r.list[i+1]
		}
	}
	return &reply{kind: '_', isNull: true}
}

// whole is a number in any of its forms.
func (r *reply) whole() (uint64, error) {
	switch r.kind {
	case ':', '#':
		return uint64(r.number), nil
	case '$', '+', '(':
		number, err := strconv.ParseUint(string(r.text), 10, 64)
		return number, protocolError(err)
	}
	return 0, fmt.Errorf("%w: no number where one belongs", errProtocol)
}

// command appends a request.
func command(request []byte, words ...[]byte) []byte {
	request = strconv.AppendInt(append(request, '*'), int64(len(words)), 10)
	request = append(request, "\r\n"...)
	for _, word := range words {
		request = strconv.AppendInt(append(request, '$'), int64(len(word)), 10)
		request = append(request, "\r\n"...)
		request = append(request, word...)
		request = append(request, "\r\n"...)
	}
	return request
}

// words are a request made of texts.
func words(texts ...string) [][]byte {
	list := make([][]byte, len(texts))
	for i, text := range texts {
		list[i] = []byte(text)
	}
	return list
}
