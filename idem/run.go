package idem

import (
	"context"
	"net/http"
	"net/url"
)

// handling is one run of a handler as net/http sees it: a request and the writer
// of its response. It is one piece of memory for both.
type handling struct {
	recorder recorder
	url      url.URL
	body     bufferedBody
	values   [8]string // of the request's header, if they are no more
}

// begin returns a copy of outer that the handler may do with what it likes, with
// the whole body before it.
func (h *handling) begin(ctx context.Context, outer *http.Request, body []byte) *http.Request {
	flat := *outer
	flat.URL, flat.Header = nil, nil
	r := flat.Clone(ctx)
	r.URL = h.copyURL(outer.URL)
	r.Header = cloneHeader(outer.Header, h.values[:0])
	setBody(r, body, &h.body)
	return r
}

func (h *handling) copyURL(u *url.URL) *url.URL {
	if u == nil {
		return nil
	}
	h.url = *u // what it points to never changes
	return &h.url
}

// prepare makes the recorder and the request of the run that follows. It is not
// done in the handler's goroutine, whose stack is new and would have to grow.
func (x *exchange) prepare(ctx context.Context) {
	h := &x.first
	if x.rec != nil {
		h = new(handling)
	}
	h.recorder.begin(x.w, x.r.Method)
	x.rec, x.request = &h.recorder, h.begin(ctx, x.r, x.body)
}

// run calls the handler. The policy is asked here, in the goroutine of the
// handler, so that its panic gives the key up as the handler's would.
func (x *exchange) run(ctx context.Context) Cached {
	rec, r := x.beginRun()
	if rec == nil {
		return Cached{}
	}
	defer x.execution.ticket.drop()
	defer removeUploads(r, r.MultipartForm)
	x.next.ServeHTTP(rec, r)
	attempt, _ := AttemptFromContext(ctx)
	return rec.finish(func(status int, header http.Header) Disposition {
		return x.config.decide(status, header, attempt.Transactional())
	})
}

// beginRun returns what was prepared, or nil if the request was given up before
// its handler began.
func (x *exchange) beginRun() (*recorder, *http.Request) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		return nil, nil
	}
	x.execution.ticket.hold()
	return x.rec, x.request
}
