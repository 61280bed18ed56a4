package nuthatch

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"encoding/json"
	"fmt"
)

// A Codec turns values of a type into bytes and back. Any goroutine may call it.
type Codec[T any] interface {
	// Append adds the bytes of value to dst, which is append's way.
	Append(dst []byte, value T) ([]byte, error)
	// Decode reads what Append wrote. It must not keep data.
	Decode(data []byte) (T, error)
}

// Bytes is the Codec of bytes as they are.
type Bytes struct{}

// Append adds the bytes.
func (Bytes) Append(dst []byte, value []byte) ([]byte, error) { return append(dst, value...), nil }

// Decode copies them.
func (Bytes) Decode(data []byte) ([]byte, error) { return append([]byte{}, data...), nil }

// String is the Codec of strings as they are.
type String struct{}

// Append adds the string's bytes.
func (String) Append(dst []byte, value string) ([]byte, error) { return append(dst, value...), nil }

// Decode copies them.
func (String) Decode(data []byte) (string, error) { return string(data), nil }

// Uint64 is the Codec of numbers as eight bytes, which makes short keys of identifiers.
type Uint64 struct{}

// Append adds eight bytes.
func (Uint64) Append(dst []byte, value uint64) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, value), nil
}

// Decode reads them.
func (Uint64) Decode(data []byte) (uint64, error) {
	if len(data) != 8 {
		return 0, fmt.Errorf("nuthatch: %d bytes are no uint64", len(data))
	}
	return binary.BigEndian.Uint64(data), nil
}

// JSON is the Codec of whatever encoding/json takes.
type JSON[T any] struct{}

// Append adds the JSON of value.
func (JSON[T]) Append(dst []byte, value T) ([]byte, error) {
	data, err := json.Marshal(value)
	return append(dst, data...), err
}

// Decode reads it.
func (JSON[T]) Decode(data []byte) (value T, err error) {
	err = json.Unmarshal(data, &value)
	return value, err
}

// Gob is the Codec of whatever encoding/gob takes; each value carries its type's description.
type Gob[T any] struct{}

// Append adds value as a gob.
func (Gob[T]) Append(dst []byte, value T) ([]byte, error) {
	buffer := bytes.NewBuffer(dst)
	err := gob.NewEncoder(buffer).Encode(&value)
	return buffer.Bytes(), err
}

// Decode reads it.
func (Gob[T]) Decode(data []byte) (value T, err error) {
	err = gob.NewDecoder(bytes.NewReader(data)).Decode(&value)
	return value, err
}
