//go:build !race

package ws

// cutsPerChannel times eight channels are ten thousand cuts.
const cutsPerChannel = 1250
