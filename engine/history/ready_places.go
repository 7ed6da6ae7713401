package history

import (
	"slices"

	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// bookPlaces say which segments hold the books of a stretch of a market's past, and that nothing else does. They are true
// while no book row of the day is written, and immutable.
type bookPlaces struct {
	key    readyKey
	stamps [2]kv.Stamp // of the day's blocks and of its keyframes
	places []bookPlace
}

// bookPlace is a segment that tells every book from its start up to a moment.
type bookPlace struct {
	seconds readyKey
	until   model.Micros
}

// placeMicros is the length of a stretch; days are whole stretches.
const placeMicros = 60 * second

// placesAt returns what is known of the stretch that t lies in. Of a day that is being written to nothing can be kept.
func (r *Reader) placesAt(mkt uint32, t model.Micros) *bookPlaces {
	p := &bookPlaces{key: readyKey{kind: readyPlaces, market: mkt, at: int64(t - t%placeMicros)}}
	var buf [32]byte
	p.stamps[0] = r.store.Stamp(kv.PartOf(key.Book(buf[:0], mkt, key.Hot, int64(t))))
	p.stamps[1] = r.store.Stamp(kv.PartOf(key.Keyframe(buf[:0], mkt, int64(t))))
	if known, _ := r.ready.get(p.key).(*bookPlaces); known != nil && p.stamps[0] != 0 && p.stamps[1] != 0 && known.stamps == p.stamps {
		return known
	}
	return p
}

// find returns the seconds of the segment that tells the book before t, which must lie in the interval.
func (p *bookPlaces) find(iv Interval, t model.Micros) (readyKey, bool) {
	for _, place := range p.places {
		if at := model.Micros(place.seconds.at); at <= t && t <= place.until && at >= iv.From {
			return place.seconds, true
		}
	}
	return readyKey{}, false
}

// end returns the last moment of the stretch.
func (p *bookPlaces) end() model.Micros { return model.Micros(p.key.at) + placeMicros - 1 }

// keepPlace adds a segment to what is known of a stretch, if nothing was written there since it was looked up.
func (r *Reader) keepPlace(p *bookPlaces, place bookPlace) {
	if p.stamps[0] == 0 || p.stamps[1] == 0 {
		return
	}
	others := slices.DeleteFunc(slices.Clone(p.places), func(o bookPlace) bool { return o.seconds.at == place.seconds.at })
	next := &bookPlaces{key: p.key, stamps: p.stamps, places: append(others, place)}
	size := int64(len(next.places)) * 64
	if r.ready.admits(next.key, size) {
		r.ready.put(next.key, next, size)
	}
}
