package chart_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/pgidem/pgidem/bench/internal/chart"
)

func draw(t *testing.T, c chart.Chart) string {
	t.Helper()
	var b strings.Builder
	if err := c.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// elements returns the attributes of every element of that name.
func elements(t *testing.T, svg, name string) (all []map[string]string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, svg)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == name {
			attributes := make(map[string]string)
			for _, a := range start.Attr {
				attributes[a.Name.Local] = a.Value
			}
			all = append(all, attributes)
		}
	}
}

var two = chart.Chart{
	Title: `a < b & "c"`, Notes: []string{"quartiles"},
	Panels: []chart.Panel{
		{Title: "one", Bars: []chart.Bar{{Label: "bare", Value: 1, Low: 1, High: 1}, {Label: "half", Value: 0.5, Low: 0.4, High: 0.6, Ours: true}}},
		{Title: "two", Bars: []chart.Bar{{Label: "<beyond>", Value: 2, Low: 1.5, High: 4}}},
		{Title: "three", Bars: []chart.Bar{{Label: "x", Value: 0.1}}},
	},
}

func TestIsWellFormedWhateverTheTextsHold(t *testing.T) {
	t.Parallel()
	svg := draw(t, two)
	if n := len(elements(t, svg, "svg")); n != 1 {
		t.Errorf("%d svg elements", n)
	}
	for _, want := range []string{"a &lt; b &amp;", "&lt;beyond&gt;", "prefers-color-scheme:dark"} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %q in it", want)
		}
	}
	draw(t, chart.Chart{})
}

func TestBarsAreAsLongAsTheirValues(t *testing.T) {
	t.Parallel()
	rects := elements(t, draw(t, two), "rect")
	if len(rects) != 4 {
		t.Fatalf("%d bars, want 4", len(rects))
	}
	width := func(i int) float64 {
		w, err := strconv.ParseFloat(rects[i]["width"], 64)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	if q := width(1) / width(0); q < 0.49 || q > 0.51 {
		t.Errorf("0.5 is drawn %.2f times as long as 1", q)
	}
	if rects[0]["class"] != "bar" || rects[1]["class"] != "ours" {
		t.Errorf("classes %s and %s", rects[0]["class"], rects[1]["class"])
	}
}

func TestNothingLeavesThePicture(t *testing.T) {
	t.Parallel()
	svg := draw(t, two)
	box := strings.Fields(elements(t, svg, "svg")[0]["viewBox"])
	right, _ := strconv.ParseFloat(box[2], 64)
	bottom, _ := strconv.ParseFloat(box[3], 64)
	for _, r := range append(elements(t, svg, "rect"), elements(t, svg, "text")...) {
		x, _ := strconv.ParseFloat(r["x"], 64)
		y, _ := strconv.ParseFloat(r["y"], 64)
		w, _ := strconv.ParseFloat(r["width"], 64)
		h, _ := strconv.ParseFloat(r["height"], 64)
		if x < 0 || y < 0 || x+w > right || y+h > bottom {
			t.Errorf("%v lies outside of %v by %v", r, right, bottom)
		}
	}
}
