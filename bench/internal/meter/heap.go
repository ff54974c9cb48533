package meter

import "runtime"

// Heap is what this process has allocated until now.
type Heap struct {
	Objects, Bytes uint64
	// Live is what was reachable at the last collection, and since.
	Live uint64
}

// ReadHeap reads it, as it is.
func ReadHeap() Heap {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Heap{Objects: m.Mallocs, Bytes: m.TotalAlloc, Live: m.HeapAlloc}
}

// LiveHeap returns what is reachable now.
func LiveHeap() uint64 {
	// Twice: what has a finalizer goes in the second.
	runtime.GC()
	runtime.GC()
	return ReadHeap().Live
}

// Stacks returns what the goroutines' stacks take.
func Stacks() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.StackInuse
}
