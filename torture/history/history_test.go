package history_test

import (
	"bytes"
	"net/http"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/pgidem/pgidem/torture/history"
)

func sample() history.Run {
	return history.Run{
		Seed: 1 << 63, Mode: history.Leased, Opening: 10, Balances: map[int]int64{3: 17},
		Requests: []history.Request{{
			ID: 1, Client: 2, Tenant: "a", Key: "k", Account: 3, Amount: 7, TTL: time.Second, Server: 1,
			Sent: time.Second, Ended: 2 * time.Second, Answered: true, Status: 201, Replayed: true,
			Header: http.Header{"X": {"1", "2"}}, Body: []byte{0, 0xff},
		}, {ID: 2, Problem: "in-flight", Failure: "EOF"}},
		Rows:   []history.Row{{ID: 9, Tenant: "a", Key: "k", Account: 3, Amount: 7, PaidAt: 1}},
		Faults: []history.Fault{{Kind: "kill", Server: 1, At: time.Second, Lasted: time.Second, Missed: true, Tries: 2}},
		Quiet:  3 * time.Second, Ended: 4 * time.Second, Clock: 5, Drift: 6,
		Leftovers: history.Leftovers{Goroutines: 1, Connections: 2, AdvisoryLocks: 3, Reservations: 4, Expired: 5},
	}
}

func TestRunIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "run.jsonl.gz")
	if err := history.Save(name, sample()); err != nil {
		t.Fatal(err)
	}
	got, err := history.Load(name)
	if err != nil || !reflect.DeepEqual(got, sample()) {
		t.Fatalf("read %+v, %v", got, err)
	}
}

func TestFileCutShortIsAnError(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	if err := history.Write(&file, sample()); err != nil {
		t.Fatal(err)
	}
	for _, length := range []int{0, file.Len() / 2, file.Len() - 1} {
		if run, err := history.Read(bytes.NewReader(file.Bytes()[:length])); err == nil {
			t.Errorf("%d of %d bytes were read as %+v", length, file.Len(), run)
		}
	}
}

func TestRecorderNumbersEveryRequest(t *testing.T) {
	t.Parallel()
	recorder := history.NewRecorder()
	var clients sync.WaitGroup
	for client := range 8 {
		clients.Go(func() {
			for range 100 {
				recorder.Add(history.Request{Client: client, Sent: recorder.Now()})
			}
		})
	}
	clients.Wait()
	requests := recorder.Requests()
	for i, request := range requests {
		if request.ID != int64(i)+1 {
			t.Fatalf("request %d has ID %d", i, request.ID)
		}
	}
	if len(requests) != 800 {
		t.Fatalf("%d requests recorded", len(requests))
	}
}
