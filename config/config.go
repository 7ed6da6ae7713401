// Package config owns every setting of the program: one struct tree, its
// defaults, how it is read from a file, the environment and flags, and its
// checks. It must not import any other package of ours, start anything, or
// know what a setting is used for beyond what makes its value valid.
package config

// Config is the whole tree. A package is handed its own sub-struct, never this.
// The yaml tag names a key, envPrefix and the field's name its variable, the doc
// tag its comment in the generated file.
type Config struct {
	Server    Server    `yaml:"server" envPrefix:"SERVER_" doc:"The REST and WebSocket server."`
	TLS       TLS       `yaml:"tls" envPrefix:"TLS_" doc:"Encryption of the server's own listeners. A proxy that ends TLS in front needs none of it."`
	Access    Access    `yaml:"access" envPrefix:"ACCESS_" doc:"Who may call what."`
	Relay     Relay     `yaml:"relay" envPrefix:"RELAY_" doc:"Native Lighter calls and streams, passed on unchanged."`
	Proxy     Proxy     `yaml:"proxy" envPrefix:"PROXY_" doc:"Who may use the relay."`
	Storage   Storage   `yaml:"storage" envPrefix:"STORAGE_" doc:"Where recorded data lives."`
	History   History   `yaml:"history" envPrefix:"HISTORY_" doc:"How long recorded data is kept. 0 keeps it for good; imported days are never deleted."`
	Snapshots Snapshots `yaml:"snapshots" envPrefix:"SNAPSHOTS_" doc:"One-second book snapshots."`
	Venues    Venues    `yaml:"venues" envPrefix:"VENUES_" doc:"The exchanges that are followed."`
	Backfill  Backfill  `yaml:"backfill" envPrefix:"BACKFILL_" doc:"Fetching what the exchange still serves of times that were not recorded. Ranges that clients ask for come first, whatever their age; depths say what is fetched without being asked for, 0 nothing. By itself it spends a third of rest_budget_per_minute at most."`
	Accounts  Accounts  `yaml:"accounts" envPrefix:"ACCOUNTS_" doc:"What is known of the exchange's accounts. Positions follow from the trades; the rest is asked for within rest_budget_per_minute."`
	Whales    Whales    `yaml:"whales" envPrefix:"WHALES_" doc:"From what value an order, a level or a trade is a whale's. A reload counts for new subscriptions; those that are open keep theirs."`
	Lake      Lake      `yaml:"lake" envPrefix:"LAKE_" doc:"Parquet files of every finished UTC day."`
	Webhooks  Webhooks  `yaml:"webhooks" envPrefix:"WEBHOOKS_" doc:"Calls to the addresses that signals name."`
	WS        WS        `yaml:"ws" envPrefix:"WS_" doc:"Client sockets."`
	Replay    Replay    `yaml:"replay" envPrefix:"REPLAY_" doc:"Replay of recorded data."`
	Metrics   Metrics   `yaml:"metrics" envPrefix:"METRICS_" doc:"The /metrics page."`
	Logging   Logging   `yaml:"logging" envPrefix:"LOGGING_" doc:"Log lines on standard error."`
	Debug     Debug     `yaml:"debug" envPrefix:"DEBUG_" doc:"Profiling."`
	Demo      Demo      `yaml:"demo" envPrefix:"DEMO_" doc:"A simulated Lighter inside serve; while it is on, the venue addresses point at it."`
	Plans     Plans     `yaml:"plans" env:"-" doc:"The plans, lowest first. A list given here replaces this one as a whole; what a plan leaves out it does not have, but days of history and of a range are then unlimited. Any number may be unlimited where the default plans show it."`
}

// Server configures the listener that REST and WebSocket share.
type Server struct {
	Listen          string   `yaml:"listen" doc:"Address to listen on. Port 0 picks a free one; :8080 opens the server to the network."`
	PublicURL       string   `yaml:"public_url" doc:"Address under which clients reach the server, as https://data.example.com. Empty: http:// and the address listened on."`
	TrustedProxies  List     `yaml:"trusted_proxies" doc:"Networks whose X-Forwarded-For is believed, as 10.0.0.0/8."`
	ShutdownTimeout Duration `yaml:"shutdown_timeout" doc:"Time that running requests get when the server stops."`
	SocketsListen   string   `yaml:"sockets_listen" doc:"A second address that serves only the WebSocket paths. Empty: none."`
	Control         string   `yaml:"control" doc:"Unix socket through which the operator's commands reach the running server. Empty: control.sock in storage.dir."`
}

// TLS configures encryption of the listeners.
type TLS struct {
	Mode     string `yaml:"mode" doc:"off, files (a certificate of your own) or acme (one from Let's Encrypt; server.listen must then be reached on port 443)."`
	CertFile string `yaml:"cert_file" doc:"PEM file of the certificate chain, for mode files. SIGHUP reads it again."`
	KeyFile  string `yaml:"key_file" doc:"PEM file of the private key, for mode files; must not be readable by others."`
	Domains  List   `yaml:"domains" doc:"Names to get certificates for, for mode acme."`
	Email    string `yaml:"email" doc:"Address that the certificate authority may write to, for mode acme."`
	CacheDir string `yaml:"cache_dir" doc:"Directory that keeps certificates, for mode acme. Empty: certificates in storage.dir."`
}

// Access configures authentication.
type Access struct {
	LocalPlan     string   `yaml:"local_plan" doc:"Plan under which calls from this machine work without a credential, as enterprise. Empty: none do."`
	PlansFile     string   `yaml:"plans_file" doc:"File with a plans list that replaces the plans below, as config/plans/metered-archive.yaml. Empty: none."`
	Registration  string   `yaml:"registration" doc:"open: anybody may register an account; closed: only the operator makes users."`
	DefaultTier   string   `yaml:"default_tier" doc:"Plan of a new account."`
	TokenLifetime Duration `yaml:"token_lifetime" doc:"Time that a sign-in is valid."`
}

// Relay configures the pass-through to the venue.
type Relay struct {
	AnswerLocally  bool `yaml:"answer_locally" doc:"Whether native calls are answered from our own data where it is complete."`
	PrivateSockets int  `yaml:"private_sockets" doc:"Most sockets to the venue that belong to one client each, for channels that we do not follow."`
	Cache          Size `yaml:"cache" doc:"Memory for answers of the venue that may be given again. 0: none."`
}

// Proxy configures who may use the relay.
type Proxy struct {
	AllowAnonymous bool `yaml:"allow_anonymous" doc:"Whether native calls work without a credential, with the limits of the lowest plan per address."`
}

// Storage configures the store.
type Storage struct {
	Dir     string `yaml:"dir" doc:"Data directory, private to its owner."`
	MinFree Size   `yaml:"min_free" doc:"Free disk space below which recording stops while reads go on. 0: never."`
	Cache   Size   `yaml:"cache" doc:"Memory for cached blocks of the store."`

	Backups     string `yaml:"backups" doc:"Directory that backups go to. Empty: backups in storage.dir. On the disk of the store they take space only as the store changes, but fall with that disk: copy them elsewhere, or name a directory of another one."`
	KeepBackups int    `yaml:"keep_backups" doc:"Most backups kept in that directory: each new one removes the oldest beyond it. 0: all."`
}

// History configures retention.
type History struct {
	TickRetention Duration  `yaml:"tick_retention" doc:"Age at which books are thinned from every update to the net change of each second."`
	Retention     Retention `yaml:"retention" doc:"Age at which each dataset is deleted: trades, books, candles, funding, accounts, stats, heatmaps."`
	ReadyRows     Size      `yaml:"ready_rows" doc:"Memory for rows of history in the form in which they are answered with. 0: none."`
}

// Backfill configures the fetching of what was not recorded.
type Backfill struct {
	Enabled      bool     `yaml:"enabled" doc:"Whether to fetch it. Off: holes stay."`
	TradesDepth  Duration `yaml:"trades_depth" doc:"How far back trades are fetched. One call gives 100 of them, so a busy market takes long."`
	CandlesDepth Duration `yaml:"candles_depth" doc:"How far back candles are fetched where trades are not; those of an hour at least 500 hours, of a day 500 days."`
	FundingDepth Duration `yaml:"funding_depth" doc:"How far back settled funding rates are fetched."`
}

// Snapshots configures the one-second book snapshots.
type Snapshots struct {
	Depth int `yaml:"depth" doc:"Most levels of each side that a snapshot answers with. 0: as many as were held."`
}

// Venues configures the exchanges.
type Venues struct {
	Lighter Lighter `yaml:"lighter" envPrefix:"LIGHTER_" doc:"The Lighter exchange. Its limits hold per address; the defaults stay below the published ones."`
}

// Lighter configures the feed of one Lighter-compatible venue.
type Lighter struct {
	Enabled                       bool     `yaml:"enabled" doc:"Whether to follow it."`
	RESTURL                       string   `yaml:"rest_url" env:"REST_URL" doc:"Base address of its REST interface."`
	StreamURL                     string   `yaml:"stream_url" env:"STREAM_URL" doc:"Address of its stream."`
	Markets                       Markets  `yaml:"markets" doc:"Markets to follow: all, or ids as 0,1,2."`
	RESTBudgetPerMinute           int      `yaml:"rest_budget_per_minute" env:"REST_BUDGET_PER_MINUTE" doc:"Most REST weight spent in any 60 seconds."`
	AccountBudgetPerMinute        int      `yaml:"account_budget_per_minute" doc:"Most calls in any 60 seconds that signed-in clients make with the venue's own tokens, sendTx among them. The venue counts these by account and not by address."`
	MessagesPerMinute             int      `yaml:"messages_per_minute" doc:"Most messages sent to the stream in any 60 seconds."`
	MaxUnanswered                 int      `yaml:"max_unanswered" doc:"Most subscriptions waiting for their answer at once."`
	MaxConnections                int      `yaml:"max_connections" doc:"Most sockets to the stream."`
	MaxSubscriptionsPerConnection int      `yaml:"max_subscriptions_per_connection" doc:"Most subscriptions on one socket."`
	MaxAccountsPerConnection      int      `yaml:"max_accounts_per_connection" doc:"Most accounts that are followed on one socket."`
	StaleAfter                    Duration `yaml:"stale_after" doc:"Silence after which the stream counts as dead."`
	Timeout                       Duration `yaml:"timeout" doc:"Time that a REST call or a handshake may take."`
}

// Accounts configures what is known of the venue's accounts.
type Accounts struct {
	StaleAfter  Duration `yaml:"stale_after" doc:"Age from which an account's collateral is shown as stale, and asked for again when somebody wants the account."`
	PollShare   int      `yaml:"poll_share" doc:"Percent of rest_budget_per_minute that keeping known accounts young may take: those that were asked for first, then large positions near their liquidation, then all others in turn. 0: none."`
	Streamed    int      `yaml:"streamed" doc:"Most accounts that are followed on the stream, the most asked for and the largest. Each takes a subscription."`
	ReadyBodies Size     `yaml:"ready_bodies" doc:"Memory for ready answers and recent fills of the accounts that are asked for most. 0: none."`
}

// Whales configures what is marked as a whale's and worth an alert.
type Whales struct {
	Threshold int          `yaml:"threshold" doc:"Value in USD, where neither a market nor a subscription says otherwise."`
	Markets   WhaleMarkets `yaml:"markets" doc:"Values in USD of single markets by their ids, as {0: 250000, 1: 500000}."`
}

// Lake configures the data lake.
type Lake struct {
	Enabled      bool     `yaml:"enabled" doc:"Whether files are made by themselves, at ten past midnight UTC. export-now makes them in any case."`
	Dir          string   `yaml:"dir" doc:"Directory of the files. Empty: lake in storage.dir."`
	Datasets     List     `yaml:"datasets" doc:"Datasets that files are made of: trades, orderbook_snapshots, candles, funding_rates, gaps, book_updates."`
	Days         int      `yaml:"days" doc:"How many finished days back files are made and kept. 0: as many as are recorded."`
	Location     string   `yaml:"location" doc:"Address under which readers of the Iceberg tables find the directory, as https://data.example.com/api/v1/data-lake/files. Empty: the directory itself. The tables in a bucket have its address."`
	LinkLifetime Duration `yaml:"link_lifetime" doc:"Time that a download link is valid."`
	S3           S3       `yaml:"s3" envPrefix:"S3_" doc:"S3-compatible storage that finished files are copied to, and downloaded from. Without an endpoint there is none."`
}

// S3 configures an object store.
type S3 struct {
	Endpoint  string `yaml:"endpoint" doc:"Address of the store, as https://s3.eu-central-1.amazonaws.com."`
	Region    string `yaml:"region" doc:"Region that requests are signed for."`
	Bucket    string `yaml:"bucket" doc:"Bucket, which must exist."`
	Prefix    string `yaml:"prefix" doc:"Start of every object's key, as lighter/."`
	AccessKey string `yaml:"access_key" doc:"Access key, which links show."`
	SecretKey Secret `yaml:"secret_key" doc:"Secret key."`
	// SecretKeyFile is read into SecretKey while loading.
	SecretKeyFile string `yaml:"secret_key_file" doc:"File that holds the secret key; must not be readable by others."`
	PathStyle     bool   `yaml:"path_style" doc:"Whether the bucket is part of the path instead of the host's name, as stores other than Amazon's mostly want it."`
}

// Webhooks configures deliveries of signals.
type Webhooks struct {
	AllowHTTP     bool `yaml:"allow_http" env:"ALLOW_HTTP" doc:"Whether addresses without TLS are allowed, on the ports named here: for one that names none add 80."`
	AllowPrivate  bool `yaml:"allow_private" doc:"Whether addresses on this machine and in private networks are allowed. Everybody who may make signals can then reach them."`
	Ports         List `yaml:"ports" doc:"Ports that may be called, with TLS or without."`
	RetrySchedule List `yaml:"retry_schedule" doc:"Waits before each further attempt, each longer or shorter by a tenth at random."`
}

// WS configures client sockets.
type WS struct {
	Compression  bool     `yaml:"compression" doc:"Whether permessage-deflate is offered. Saves traffic, costs processor time per client."`
	QueueFrames  int      `yaml:"queue_frames" doc:"Frames that may wait for a slow client before it is closed with 4011."`
	QueueBytes   Size     `yaml:"queue_bytes" doc:"Bytes that may wait for a slow client before it is closed with 4011."`
	PingInterval Duration `yaml:"ping_interval" doc:"Time between pings to a client."`
	PongTimeout  Duration `yaml:"pong_timeout" doc:"Time that a client has to answer a ping."`
	AuthTimeout  Duration `yaml:"auth_timeout" doc:"Time that a client has to authenticate."`
}

// Replay configures replay sockets.
type Replay struct {
	QueueBytes Size `yaml:"queue_bytes" doc:"Bytes of joined frames that may wait for a replay client; then the replay waits."`
	FinePacing bool `yaml:"fine_pacing" doc:"Send replayed events within 0.25 ms of their time instead of 1.5 ms, at more processor time."`
}

// Metrics configures the metrics page.
type Metrics struct {
	Token Secret `yaml:"token" doc:"Bearer token that /metrics asks for. Empty: none."`
	// TokenFile is read into Token while loading.
	TokenFile string `yaml:"token_file" doc:"File that holds the token; must not be readable by others."`
}

// Logging configures the log.
type Logging struct {
	Level  string `yaml:"level" doc:"debug, info, warn or error."`
	Format string `yaml:"format" doc:"json, or text for terminals."`
}

// Debug configures profiling.
type Debug struct {
	Listen string `yaml:"listen" doc:"Loopback address of the pprof pages, as 127.0.0.1:6060. Empty: off."`
}

// Demo configures the simulated venue.
type Demo struct {
	Enabled  bool   `yaml:"enabled" doc:"Whether to start it."`
	Listen   string `yaml:"listen" doc:"Loopback address that it listens on."`
	Markets  int    `yaml:"markets" doc:"Number of markets."`
	Accounts int    `yaml:"accounts" doc:"Number of trading accounts."`
	Rate     int    `yaml:"rate" doc:"Book levels that change per second, over all markets."`
	Seed     int64  `yaml:"seed" doc:"Seed of its random source; the same seed gives the same market."`
}
