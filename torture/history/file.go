package history

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// line is one line of a file: the head of the run, then its requests, rows and
// faults, each on a line of its own so that zgrep finds a key's history.
type line struct {
	Head    *Run     `json:",omitempty"`
	Request *Request `json:",omitempty"`
	Row     *Row     `json:",omitempty"`
	Fault   *Fault   `json:",omitempty"`
}

// Save writes run into the named file.
func Save(name string, run Run) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(Write(file, run), file.Close())
}

// Load reads the run in the named file.
func Load(name string) (Run, error) {
	file, err := os.Open(name)
	if err != nil {
		return Run{}, err
	}
	run, err := Read(file)
	return run, errors.Join(err, file.Close())
}

// Write writes run as JSON lines, compressed by gzip.
func Write(w io.Writer, run Run) error {
	zip := gzip.NewWriter(w)
	buffer := bufio.NewWriter(zip)
	return errors.Join(encode(json.NewEncoder(buffer), run), buffer.Flush(), zip.Close())
}

func encode(out *json.Encoder, run Run) error {
	head := run
	head.Requests, head.Rows, head.Faults = nil, nil, nil
	err := out.Encode(line{Head: &head})
	for i := range run.Requests {
		err = errors.Join(err, out.Encode(line{Request: &run.Requests[i]}))
	}
	for i := range run.Rows {
		err = errors.Join(err, out.Encode(line{Row: &run.Rows[i]}))
	}
	for i := range run.Faults {
		err = errors.Join(err, out.Encode(line{Fault: &run.Faults[i]}))
	}
	return err
}

// Read reads what Write wrote. A file that ends early is an error, not a
// shorter run.
func Read(r io.Reader) (Run, error) {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return Run{}, fmt.Errorf("history: %w", err)
	}
	var run Run
	for in := json.NewDecoder(zip); ; {
		var next line
		switch err := in.Decode(&next); {
		case errors.Is(err, io.EOF):
			return run, nil
		case err != nil:
			return Run{}, fmt.Errorf("history: %w", err)
		}
		run.add(next)
	}
}

func (run *Run) add(next line) {
	switch {
	case next.Head != nil:
		*run = *next.Head
	case next.Request != nil:
		run.Requests = append(run.Requests, *next.Request)
	case next.Row != nil:
		run.Rows = append(run.Rows, *next.Row)
	case next.Fault != nil:
		run.Faults = append(run.Faults, *next.Fault)
	}
}
