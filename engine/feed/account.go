package feed

import "hyperlight/engine/model"

// ofAccount tells whether a family of channels belongs to one account.
func ofAccount(f Family) bool { return f == FamilyAccount || f == FamilyAccountPositions }

// SetAccounts says whose channels to follow, by the venue's own index, the most wanted first. They are subscribed after
// all channels of markets and with half of the allowance of messages; those beyond what the connections carry are left
// out. Channels of accounts that are missing are unsubscribed. It returns how many are followed.
func (s *Supervisor) SetAccounts(indices []int64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.accounts {
		sub.wanted = false
	}
	wanted := make([]*subscription, 0, len(indices))
	for _, index := range indices {
		c := Channel{FamilyAccount, index}
		sub := s.known[c]
		if sub == nil {
			sub = &subscription{channel: c, market: model.NoMarket}
			s.known[c] = sub
		}
		if !sub.wanted { // named twice otherwise
			sub.wanted = true
			wanted = append(wanted, sub)
		}
	}
	s.accounts = wanted
	s.trimAccounts()
	s.dropIdle()
	s.poke()
	return len(s.accounts)
}

// trimAccounts gives up the least wanted accounts where the connections do not carry all.
func (s *Supervisor) trimAccounts() {
	room := s.limits.MaxConnections*(s.perSocket-1) - len(s.want)
	room = max(min(room, s.limits.MaxConnections*s.perAccount), 0)
	for len(s.accounts) > room {
		last := len(s.accounts) - 1
		s.accounts[last].wanted = false
		s.accounts = s.accounts[:last]
	}
}

// roomiestForAccount returns the first socket that takes the channel of another account, nil where none does.
func (s *Supervisor) roomiestForAccount() *socket {
	for _, so := range s.sockets {
		if len(so.subs) < s.perSocket && !so.accountsFull && so.carriedAccounts() < s.perAccount {
			return so
		}
	}
	return nil
}

func (so *socket) carriedAccounts() int {
	n := 0
	for c := range so.subs {
		if ofAccount(c.Family) {
			n++
		}
	}
	return n
}

func (so *socket) liveAccounts() int {
	n := 0
	for c, sub := range so.subs {
		if ofAccount(c.Family) && sub.state == stateLive {
			n++
		}
	}
	return n
}
