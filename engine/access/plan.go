package access

// Unlimited is how "no limit" is written in a plan and sent on the wire.
const Unlimited = -1

// Plan is what a caller may do. Counts are per account unless said otherwise; Unlimited (-1) lifts a limit.
type Plan struct {
	Slug string
	// Rank orders plans; a route that needs a plan is open to every plan of the same or a higher rank.
	Rank int

	RequestsPerMinute int // per key
	BatchAccounts     int // accounts in one batch call
	CreditsPerMonth   int64

	Connections   int // sockets open at once, /ws, /stream and /ws/replay together
	Subscriptions int // over all sockets

	ReplayWindowDays  int     // longest range of one replay; 0 forbids replay
	ConcurrentReplays int     // 0 forbids replay
	MaxReplaySpeed    float64 // 1,000 and more also allows "max"

	Attribution bool // sees the accounts behind orders
	DataLake    bool
}

// ReplayAtMax tells whether the plan may replay as fast as the client reads.
func (p *Plan) ReplayAtMax() bool { return p.MaxReplaySpeed >= 1000 }

// DefaultPlans returns the contract's tier table (section 1.9 and 9.3), lowest rank first. The caller owns the slice.
func DefaultPlans() []Plan {
	return []Plan{
		{Slug: "free", Rank: 0, RequestsPerMinute: 30, BatchAccounts: 5, CreditsPerMonth: 75_000,
			Connections: 1, Subscriptions: 5, MaxReplaySpeed: 100},
		{Slug: "starter", Rank: 1, RequestsPerMinute: 300, BatchAccounts: 200, CreditsPerMonth: 750_000,
			Connections: 50, Subscriptions: 1_000, ReplayWindowDays: 7, ConcurrentReplays: 2, MaxReplaySpeed: 100,
			Attribution: true, DataLake: true},
		{Slug: "growth", Rank: 2, RequestsPerMinute: 3_000, BatchAccounts: 1_000, CreditsPerMonth: 5_000_000,
			Connections: 500, Subscriptions: 10_000, ReplayWindowDays: 30, ConcurrentReplays: 5, MaxReplaySpeed: 100,
			Attribution: true, DataLake: true},
		{Slug: "scale", Rank: 3, RequestsPerMinute: 30_000, BatchAccounts: 2_500, CreditsPerMonth: 25_000_000,
			Connections: 1_000, Subscriptions: 25_000, ReplayWindowDays: 90, ConcurrentReplays: 10, MaxReplaySpeed: 100,
			Attribution: true, DataLake: true},
		{Slug: "enterprise", Rank: 4, RequestsPerMinute: Unlimited, BatchAccounts: 5_000, CreditsPerMonth: Unlimited,
			Connections: Unlimited, Subscriptions: Unlimited, ReplayWindowDays: Unlimited, ConcurrentReplays: Unlimited,
			MaxReplaySpeed: 1_000, Attribution: true, DataLake: true},
	}
}
