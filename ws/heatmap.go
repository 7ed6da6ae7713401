package ws

import (
	"bytes"
	"time"

	"hyperlight/engine/model"
)

// heatmapPace is the least time between two frames of a heatmap.
const heatmapPace = 10 * time.Second

// heatmap publishes the market's latest heatmap, where it is due and another one than before.
func (c *channel) heatmap(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.active || now.Before(c.set.next) {
		return
	}
	if data := c.hub.own.heatmaps.Heatmap(c.market.Load().ID); data != nil && !bytes.Equal(data, c.set.sent) {
		c.seq++
		c.showHeatmap(data, now)
		c.publish(now, c.whole)
	}
}

// showHeatmap makes a heatmap the state of the present seq.
func (c *channel) showHeatmap(data []byte, now time.Time) {
	c.set.sent, c.set.next = data, now.Add(heatmapPace)
	c.scratch = appendEnvelope(c.scratch[:0], c.name)
	c.scratch = append(c.scratch, data...)
	c.scratch = appendTail(c.scratch, false, c.seq, model.Millis(now.UnixMilli()))
	c.whole = c.frame(0, false)
}
