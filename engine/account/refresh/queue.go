package refresh

import "container/heap"

// maxQueue bounds the accounts that wait for their turn because somebody asked for them.
const maxQueue = 1 << 14

// queue holds targets that were asked for and can wait, the one with the oldest answer first, each once. It is a
// heap.Interface; places tells where in rows a target stands.
type queue struct {
	rows   []target
	places map[target]int
}

func (q *queue) Len() int           { return len(q.rows) }
func (q *queue) Less(i, j int) bool { return q.rows[i].polled < q.rows[j].polled }
func (q *queue) Swap(i, j int) {
	q.rows[i], q.rows[j] = q.rows[j], q.rows[i]
	q.places[q.rows[i].name()], q.places[q.rows[j].name()] = i, j
}

// Push is for package heap.
func (q *queue) Push(x any) {
	t := x.(target)
	q.places[t.name()] = len(q.rows)
	q.rows = append(q.rows, t)
}

// Pop is for package heap.
func (q *queue) Pop() any {
	last := len(q.rows) - 1
	t := q.rows[last]
	q.rows = q.rows[:last]
	delete(q.places, t.name())
	return t
}

// enqueue lets a target wait for its turn; it is left out where it waits already, is being asked for or the queue is full.
func (r *Refresher) enqueue(t target) {
	name := t.name()
	if _, ok := r.queue.places[name]; ok || r.flights[name] != nil {
		return
	}
	if r.queue.Len() >= maxQueue {
		r.m.dropped.Inc()
		return
	}
	heap.Push(&r.queue, t)
}

// dequeue takes a target out of the queue.
func (r *Refresher) dequeue(name target) {
	if i, ok := r.queue.places[name]; ok {
		heap.Remove(&r.queue, i)
	}
}
