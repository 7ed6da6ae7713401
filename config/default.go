package config

import (
	"os"
	"path/filepath"
	"time"
)

const (
	second = Duration(time.Second)
	day    = Duration(24 * time.Hour)
)

// Default returns the configuration of a start without any file: Lighter
// mainnet, served on loopback only, nobody let in without a credential.
func Default() *Config {
	return &Config{
		Server: Server{
			Listen:          "127.0.0.1:8080",
			ShutdownTimeout: 10 * second,
		},
		TLS:    TLS{Mode: "off"},
		Access: Access{Registration: "open", DefaultTier: "free", TokenLifetime: day},
		Relay:  Relay{AnswerLocally: true, PrivateSockets: 100, Cache: 64 << 20},
		Proxy:  Proxy{AllowAnonymous: true},
		Storage: Storage{
			Dir:     stateDir(os.Getenv, os.UserHomeDir, os.Geteuid()),
			MinFree: 512 << 20,
			Cache:   256 << 20,
		},
		History: History{
			TickRetention: 30 * day,
			Retention: Retention{
				"trades": 0, "books": 90 * day, "candles": 0, "funding": 0,
				"accounts": 0, "stats": 90 * day, "heatmaps": 90 * day,
			},
			ReadyRows: 256 << 20,
		},
		Backfill: Backfill{Enabled: true, TradesDepth: day, CandlesDepth: 7 * day, FundingDepth: 90 * day},
		Venues: Venues{Lighter: Lighter{
			Enabled:                       true,
			RESTURL:                       "https://mainnet.zklighter.elliot.ai",
			StreamURL:                     "wss://mainnet.zklighter.elliot.ai/stream",
			RESTBudgetPerMinute:           60,
			AccountBudgetPerMinute:        4_000,
			MessagesPerMinute:             200,
			MaxUnanswered:                 35,
			MaxConnections:                4,
			MaxSubscriptionsPerConnection: 500,
			MaxAccountsPerConnection:      500,
			StaleAfter:                    15 * second,
			Timeout:                       10 * second,
		}},
		Whales:   Whales{Threshold: 100_000, Markets: WhaleMarkets{}},
		Accounts: Accounts{StaleAfter: 60 * second, PollShare: 50, Streamed: 200, ReadyBodies: 256 << 20},
		Lake: Lake{
			Enabled:      true,
			Datasets:     List{"trades", "orderbook_snapshots", "candles", "funding_rates", "gaps", "book_updates"},
			LinkLifetime: 900 * second,
			S3:           S3{Region: "us-east-1", PathStyle: true},
		},
		Webhooks: Webhooks{
			Ports:         List{"443", "8443"},
			RetrySchedule: List{"1s", "5s", "30s", "2m", "10m"},
		},
		WS: WS{
			QueueFrames:  1024,
			QueueBytes:   8 << 20,
			PingInterval: 30 * second,
			PongTimeout:  10 * second,
			AuthTimeout:  10 * second,
		},
		Replay:  Replay{QueueBytes: 256 << 10},
		Logging: Logging{Level: "info", Format: "json"},
		Demo: Demo{
			Listen:   "127.0.0.1:0",
			Markets:  12,
			Accounts: 2_000,
			Rate:     1_000,
			Seed:     1,
		},
		Plans: DefaultPlans(),
	}
}

// ControlPath is where the control socket is.
func (c *Config) ControlPath() string {
	if c.Server.Control != "" {
		return c.Server.Control
	}
	return filepath.Join(c.Storage.Dir, "control.sock")
}

// BackupsDir is where backups are made.
func (c *Config) BackupsDir() string {
	if c.Storage.Backups != "" {
		return c.Storage.Backups
	}
	return filepath.Join(c.Storage.Dir, "backups")
}

// LakeDir is where the files of the data lake are.
func (c *Config) LakeDir() string {
	if c.Lake.Dir != "" {
		return c.Lake.Dir
	}
	return filepath.Join(c.Storage.Dir, "lake")
}

// CertificateDir is where certificates of tls.mode acme are kept.
func (c *Config) CertificateDir() string {
	if c.TLS.CacheDir != "" {
		return c.TLS.CacheDir
	}
	return filepath.Join(c.Storage.Dir, "certificates")
}

// stateDir is where data goes by default. A user without a home directory (some
// containers) gets a relative one, which the start-up line then shows in full.
func stateDir(getenv func(string) string, home func() (string, error), uid int) string {
	if d := getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "hyperlight")
	}
	if uid == 0 {
		return "/var/lib/hyperlight"
	}
	if h, err := home(); err == nil {
		return filepath.Join(h, ".local", "state", "hyperlight")
	}
	return "hyperlight-data"
}
