package site

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// SetClock sets the process's wall clock so many seconds ahead of the machine's.
func (v *Server) SetClock(ctx context.Context, ahead int) error {
	_, err := v.admin(ctx, http.MethodPut, fmt.Sprintf("/clock?ahead=%d", ahead))
	return err
}

// Clock tells the process's wall clock, in Unix seconds.
func (v *Server) Clock(ctx context.Context) (seconds int64, err error) {
	text, err := v.admin(ctx, http.MethodGet, "/clock")
	if err != nil {
		return 0, err
	}
	return seconds, json.Unmarshal(text, &seconds)
}

func (v *Server) admin(ctx context.Context, method, path string) ([]byte, error) {
	v.mu.Lock()
	target := v.ready.Admin + path
	v.mu.Unlock()
	request, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return nil, err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("server %d: %s", v.Number, text)
	}
	return text, err
}
