package sides

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

// Round is what a server did in a time.
type Round struct {
	Rate          float64 // answers a second
	Answers       int
	P50, P99, Max time.Duration // of an answer, from the question's first byte to the answer's last
	Processor     time.Duration // of the server's processes, each answer; for the caller to set
}

// Load asks over so many connections for a while: ask asks over the i-th one, its next question when the last one was
// answered, and returns how long the answer took.
func Load(connections int, span time.Duration, ask func(i int) (time.Duration, error)) (Round, error) {
	var wait sync.WaitGroup
	times, errs := make([][]time.Duration, connections), make([]error, connections)
	began := time.Now()
	until := began.Add(span)
	for i := range connections {
		wait.Go(func() {
			for time.Now().Before(until) {
				took, err := ask(i)
				if err != nil {
					errs[i] = err
					return
				}
				times[i] = append(times[i], took)
			}
		})
	}
	wait.Wait()
	elapsed := time.Since(began)
	for _, err := range errs {
		if err != nil {
			return Round{}, err
		}
	}
	took := slices.Concat(times...)
	if len(took) == 0 {
		return Round{}, errors.New("nothing was answered in time")
	}
	slices.Sort(took)
	return Round{Rate: float64(len(took)) / elapsed.Seconds(), Answers: len(took), P50: took[len(took)/2], P99: took[len(took)*99/100],
		Max: took[len(took)-1]}, nil
}

// Median returns the medians of rounds, each figure by itself.
func Median(rounds []Round) Round {
	return Round{Rate: middle(rounds, func(r Round) float64 { return r.Rate }),
		P50:       middle(rounds, func(r Round) time.Duration { return r.P50 }),
		P99:       middle(rounds, func(r Round) time.Duration { return r.P99 }),
		Processor: middle(rounds, func(r Round) time.Duration { return r.Processor })}
}

func middle[V float64 | time.Duration](rounds []Round, value func(Round) V) V {
	all := make([]V, len(rounds))
	for i, r := range rounds {
		all[i] = value(r)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// ReadAnswer reads one whole answer of a server, whose status must be 200.
func ReadAnswer(r *bufio.Reader) ([]byte, error) {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, body)
	}
	return body, err
}

// Millis returns a duration in milliseconds.
func Millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Progress tells who waits what was done, and how long it took.
func Progress(what string, began time.Time) {
	fmt.Fprintf(os.Stderr, "%-24s %6.1f s\n", what, time.Since(began).Seconds())
}
