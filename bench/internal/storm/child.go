package storm

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// taskVariable holds, in a process of the storm, its task.
const taskVariable = "PGIDEM_BENCH_STORM"

// Child does a task, and returns true when it is done, if this process was
// started for one.
func Child() bool {
	text := os.Getenv(taskVariable)
	if text == "" {
		return false
	}
	if err := runChild(text); err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintln(os.Stderr, "storm:", err)
		os.Exit(1)
	}
	return true
}

func runChild(text string) error {
	var task Task
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		return err
	}
	s, err := open(task)
	if err != nil {
		return err
	}
	defer s.close()
	return s.converse(bufio.NewReader(os.Stdin))
}

// converse speaks with the parent, see process. Standard input ends with it.
func (s *senders) converse(stdin *bufio.Reader) error {
	fmt.Print(ready)
	text, err := stdin.ReadBytes('\n')
	if err != nil {
		return err
	}
	var at time.Time
	if err := json.Unmarshal(text, &at); err != nil {
		return err
	}
	s.run(at)
	fmt.Print(answered)
	if _, err := stdin.ReadBytes('\n'); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(s.report())
}
