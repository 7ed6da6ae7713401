//go:build race

package ws

// cutsPerChannel times eight channels: the race detector makes each cut ten times as dear.
const cutsPerChannel = 150
