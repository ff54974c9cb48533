package storm

import (
	"os"
	"os/exec"
	"time"
)

// Storm is a number of processes that are ready to send.
type Storm struct {
	folder    string
	processes []*process
}

// Open starts so many processes for task, with commands that run this program,
// whose main function calls Child first. It returns when all are ready.
func Open(command func() *exec.Cmd, task Task, processes int) (*Storm, error) {
	folder, err := os.MkdirTemp("", "storm")
	if err != nil {
		return nil, err
	}
	s := &Storm{folder: folder}
	task.Folder = folder
	for task.Number = range processes {
		p, err := start(command(), task)
		if err != nil {
			s.Close()
			return nil, err
		}
		s.processes = append(s.processes, p)
	}
	return s, nil
}

// Break makes all of them send at that moment, once, and returns what they have
// seen.
func (s *Storm) Break(at time.Time) (outcomes []Outcome, err error) {
	for _, p := range s.processes {
		if err := p.send(at); err != nil {
			return nil, err
		}
	}
	for _, p := range s.processes {
		if err := p.await(answered); err != nil {
			return nil, err
		}
	}
	for _, p := range s.processes {
		o, err := p.outcome()
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}

// Close ends the processes.
func (s *Storm) Close() {
	for _, p := range s.processes {
		p.close()
	}
	_ = os.RemoveAll(s.folder)
}
