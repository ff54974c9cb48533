package server

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// admin serves those who torture the server:
//
//	PUT /clock?ahead=SECONDS   sets the wall clock so far ahead of the machine's
//	GET /clock                 tells the wall clock, in Unix seconds
//	GET /stacks                tells what every goroutine does
func admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /clock", func(w http.ResponseWriter, r *http.Request) {
		seconds, err := strconv.ParseInt(r.FormValue("ahead"), 10, 64)
		if err == nil {
			err = setClock(seconds)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	mux.HandleFunc("GET /clock", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, time.Now().Unix())
	})
	mux.HandleFunc("GET /stacks", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, stacks())
	})
	return mux
}
