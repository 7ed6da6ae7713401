package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// lakeDatasets are the datasets that the lake has.
var lakeDatasets = []string{"trades", "orderbook_snapshots", "candles", "funding_rates", "gaps", "book_updates"}

func (v *validator) lake(l *Lake) {
	v.check(!strings.ContainsRune(l.Dir, 0), "lake.dir", "must name a directory")
	for _, name := range l.Datasets {
		v.check(slices.Contains(lakeDatasets, name), "lake.datasets", fmt.Sprintf("%q is none of %s", name, strings.Join(lakeDatasets, ", ")))
	}
	v.between("lake.days", l.Days, 0, 36_500)
	v.check(l.LinkLifetime >= second && l.LinkLifetime <= 7*day, "lake.link_lifetime", "must be from 1s to 7d")
	if l.Location != "" {
		v.baseURL("lake.location", l.Location, "https", "http", "s3", "file")
	}
	s := &l.S3
	if s.Endpoint == "" {
		return
	}
	v.baseURL("lake.s3.endpoint", s.Endpoint, "http", "https")
	for _, key := range [...][2]string{{"region", s.Region}, {"bucket", s.Bucket}, {"access_key", s.AccessKey}, {"secret_key", string(s.SecretKey)}} {
		v.check(key[1] != "", "lake.s3."+key[0], "must be given with lake.s3.endpoint")
	}
	v.check(!strings.HasPrefix(s.Prefix, "/"), "lake.s3.prefix", "must not start with /")
}

// maxRetries bounds how often one delivery is tried again.
const maxRetries = 20

func (v *validator) webhooks(w *Webhooks) {
	v.check(len(w.Ports) > 0, "webhooks.ports", "must have a port")
	for _, text := range w.Ports {
		n, err := strconv.ParseUint(text, 10, 16)
		v.check(err == nil && n > 0, "webhooks.ports", fmt.Sprintf("%q is no port from 1 to 65535", text))
	}
	v.check(len(w.RetrySchedule) <= maxRetries, "webhooks.retry_schedule", fmt.Sprintf("must have at most %d waits", maxRetries))
	for _, text := range w.RetrySchedule {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d < second || d > day {
			v.check(false, "webhooks.retry_schedule", fmt.Sprintf("%q is no duration from 1s to 1d", text))
		}
	}
}

// PortNumbers returns the ports of a valid configuration.
func (w *Webhooks) PortNumbers() (ports []uint16) {
	for _, text := range w.Ports {
		if n, err := strconv.ParseUint(text, 10, 16); err == nil {
			ports = append(ports, uint16(n))
		}
	}
	return ports
}

// Waits returns the retry schedule of a valid configuration.
func (w *Webhooks) Waits() []time.Duration {
	waits := []time.Duration{} // none is none, not the default
	for _, text := range w.RetrySchedule {
		var d Duration
		if d.UnmarshalText([]byte(text)) == nil {
			waits = append(waits, d.D())
		}
	}
	return waits
}
