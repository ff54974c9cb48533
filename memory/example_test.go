package memory_test

import (
	"context"
	"fmt"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/memory"
)

// The three verbs by themselves; a server leaves them to idem.RESTMiddleware.
func Example() {
	ctx := context.Background()
	store := memory.New(memory.Config{})
	defer store.Close()

	for range 2 {
		existing, fresh, err := store.Reserve(ctx, "order-42", "hash of the request", 24*time.Hour)
		switch {
		case err != nil:
			fmt.Println(err)
		case fresh:
			fmt.Println("the handler runs")
			response := idem.Cached{Status: 201, Body: []byte("created")}
			if err := store.Commit(ctx, "order-42", "hash of the request", response); err != nil {
				fmt.Println(err)
			}
		default:
			fmt.Printf("replayed: %d %s\n", existing.Status, existing.Body)
		}
	}
	// Output:
	// the handler runs
	// replayed: 201 created
}
