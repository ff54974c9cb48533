package waldump_test

import (
	"strings"
	"testing"

	"github.com/pgidem/pgidem/bench/internal/waldump"
)

const output = `WAL statistics between 0/1000 and 0/2000:
Type                                           N      (%)          Record size      (%)             FPI size      (%)        Combined size      (%)
----                                           -      ---          -----------      ---             --------      ---        -------------      ---
Transaction/COMMIT                            10 ( 22.22)                  340 ( 10.00)                    0 (  0.00)                  340 (  3.00)
Storage/CREATE                                 1 (  2.22)                   42 (  1.00)                    0 (  0.00)                   42 (  0.40)
Heap/INSERT                                   19 ( 42.22)                 2000 ( 60.00)                 8000 (100.00)                10000 ( 90.00)
Heap/INSERT+INIT                               1 (  2.22)                  100 (  3.00)                    0 (  0.00)                  100 (  1.00)
Heap2/PRUNE                                    1 (  2.22)                   58 (  1.00)                    0 (  0.00)                   58 (  0.50)
Btree/INSERT_LEAF                             13 ( 28.88)                  900 ( 25.00)                  192 (  0.00)                 1092 (  9.00)
                                        --------                      --------                      --------                      --------
Total                                         45                          3440 [29.57%]                 8192 [70.43%]                11632 [100%]
`

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := waldump.Parse(strings.NewReader(output))
	want := waldump.Stats{Records: 45, Heap: 2158, Btree: 900, Commit: 340, Other: 42, Images: 8192}
	if err != nil || got != want {
		t.Errorf("got %+v, error %v; want %+v", got, err, want)
	}
	if got.Bytes() != 11632 {
		t.Errorf("%d bytes, want 11632", got.Bytes())
	}
}

// A row that was not understood would be a cost that nobody sees.
func TestRowsThatDoNotAddUpAreAnError(t *testing.T) {
	t.Parallel()
	for name, spoiled := range map[string]string{
		"ARowIsMissing":    strings.Replace(output, "Btree/INSERT_LEAF", " ", 1),
		"TheTotalIsWrong":  strings.Replace(output, "Total                                         45", "Total   46", 1),
		"ThereIsNoTotal":   output[:strings.Index(output, "Total")],
		"ThereIsNothing":   "",
		"AnotherImageSize": strings.Replace(output, "8192 [", "8193 [", 1),
	} {
		if got, err := waldump.Parse(strings.NewReader(spoiled)); err == nil {
			t.Errorf("%s: parsed as %+v", name, got)
		}
	}
}
