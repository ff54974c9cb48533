// Package chart draws bars as SVG, readable on a light page and on a dark one.
package chart

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// Chart is panels of bars, side by side in two columns.
type Chart struct {
	Title  string
	Notes  []string // lines below the panels
	Panels []Panel
}

// Panel is a group of bars on one scale.
type Panel struct {
	Title string
	Bars  []Bar
}

// Bar is one value, and the range that it spreads over.
type Bar struct {
	Label            string
	Value, Low, High float64
	// Ours bars are drawn in the strong colour.
	Ours bool
}

// All lengths are pixels.
const (
	columns   = 2
	width     = 480
	labelled  = 150
	figured   = 52
	rowHeight = 24
	barHeight = 14
	headHigh  = 62
	titleHigh = 34
	noteHigh  = 18
)

// A page decides whether it is dark; the ground stays its own.
const style = `text{font:13px system-ui,sans-serif;fill:#24292f}
.title{font-size:16px;font-weight:600}.panel{font-weight:600}.note{font-size:12px;fill:#57606a}
.bar{fill:#9aa4af}.ours{fill:#0969da}.spread{stroke:#24292f;stroke-width:1.2}.one{stroke:#57606a;stroke-dasharray:3 3}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.note{fill:#9198a1}
.bar{fill:#656c76}.ours{fill:#4493f8}.spread{stroke:#e6edf3}.one{stroke:#9198a1}}`

// Write writes c as an SVG document.
func (c Chart) Write(w io.Writer) error {
	d := &drawing{}
	height := headHigh
	for i := 0; i < len(c.Panels); i += columns {
		row := c.Panels[i:min(i+columns, len(c.Panels))]
		for k, p := range row {
			d.panel(p, k*width, height)
		}
		height += rowOf(row)
	}
	for i, note := range c.Notes {
		d.text("note", 12, height+12+i*noteHigh, "start", note)
	}
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">
<style>%s</style>
<text class="title" x="12" y="28">%s</text>
%s</svg>
`, columns*width, height+noteHigh*(len(c.Notes)+1), escape(c.Title), style, escape(c.Title), d.String())
	return err
}

func rowOf(panels []Panel) int {
	bars := 0
	for _, p := range panels {
		bars = max(bars, len(p.Bars))
	}
	return titleHigh + bars*rowHeight
}

// drawing collects elements.
type drawing struct{ strings.Builder }

func (d *drawing) panel(p Panel, x, y int) {
	d.text("panel", x+12, y, "start", p.Title)
	left, room := float64(x+labelled), float64(width-labelled-figured)
	scale := room / p.most()
	for i, b := range p.Bars {
		d.bar(b, left, y+titleHigh/2+i*rowHeight-rowHeight/4, scale)
	}
	one, top := left+scale, y+titleHigh/2-rowHeight/4
	_, _ = fmt.Fprintf(d, `<line class="one" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`+"\n", one, one, top, top+len(p.Bars)*rowHeight)
}

// most is the end of the scale: 1, or what lies beyond it.
func (p Panel) most() float64 {
	most := 1.0
	for _, b := range p.Bars {
		most = max(most, b.Value, b.High)
	}
	return most
}

func (d *drawing) bar(b Bar, left float64, top int, scale float64) {
	class := "bar"
	if b.Ours {
		class = "ours"
	}
	middle := top + rowHeight/2
	d.text("label", int(left)-8, middle+4, "end", b.Label)
	_, _ = fmt.Fprintf(d, `<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d" rx="2"/>`+"\n",
		class, left, middle-barHeight/2, b.Value*scale, barHeight)
	_, _ = fmt.Fprintf(d, `<line class="spread" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`+"\n",
		left+b.Low*scale, left+b.High*scale, middle, middle)
	d.text("figure", int(left+max(b.Value, b.High)*scale)+6, middle+4, "start", fmt.Sprintf("%.2f", b.Value))
}

func (d *drawing) text(class string, x, y int, anchor, text string) {
	_, _ = fmt.Fprintf(d, `<text class="%s" x="%d" y="%d" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, escape(text))
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder never fails
	return b.String()
}
