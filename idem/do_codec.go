package idem

import "encoding/json"

// Codec encodes the results of [Do]. In both directions v is a pointer to the
// result: for a Do[T] it is a *T, and where T is itself a pointer, a pointer to
// that. It must be safe for concurrent use.
type Codec interface {
	// Name is kept with each record; a record of another name is not decoded.
	// It changes when older records can no longer be read.
	Name() string
	// Marshal returns what *v is encoded to. Its error makes Do return
	// [ErrResultUnencodable].
	Marshal(v any) ([]byte, error)
	// Unmarshal decodes data into *v, which is a zero value. Its error makes a
	// replay return [ErrRecordUnreadable].
	Unmarshal(data []byte, v any) error
}

type jsonCodec struct{}

func (jsonCodec) Name() string                       { return "json" }
func (jsonCodec) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (jsonCodec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }
