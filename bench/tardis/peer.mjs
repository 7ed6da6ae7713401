// The peer: what tardis-machine does for a WebSocket replay, on the library that it is made of (tardis-dev). It prints its
// address and ends with its input.
//
// /ws-replay sends the raw messages, /ws-replay-normalized normalized ones, both by ?options={...}; the socket is closed after
// the last one. Where this differs from tardis-machine it does less or waits less: options come with the address for both, a
// raw replay does not wait two seconds for further sockets, what one turn of the event loop has sent goes out in one write
// (&each=1: a write per message), and it waits for a slow client only above a mebibyte. With &none=1 nothing is sent but the
// first message and, in the end, how many there would have been: a bound for any WebSocket library.
import { once } from 'node:events'
import { createServer } from 'node:http'
import tardis from 'tardis-dev'
import { WebSocketServer } from 'ws'

const mostBuffered = 1 << 20
const { computeBookSnapshots, compute, init, normalizeBookChanges, normalizeTrades, replay, replayNormalized } = tardis

// Whatever is not in the cache is an error, not a download: nobody listens there.
init({ cacheDir: process.argv[2], endpoint: 'https://127.0.0.1:1' })

async function* raw({ exchange, from, to, filters }) {
  for await (const { message } of replay({ exchange, from, to, filters, skipDecoding: true })) yield message
}

async function* normalized({ exchange, from, to, symbols, depth, interval }) {
  const events = replayNormalized({ exchange, from, to, symbols }, normalizeTrades, normalizeBookChanges)
  for await (const message of compute(events, computeBookSnapshots({ depth, interval }))) {
    if (message.type !== 'book_change') yield JSON.stringify(message)
  }
}

// sender returns the function that sends a message, and a promise where the sender has to wait.
function sender(ws, socket, each) {
  let corked = false
  const uncork = () => {
    corked = false
    socket.uncork()
  }
  return (message) => {
    if (!corked && !each) {
      corked = true
      socket.cork()
      setImmediate(uncork)
    }
    if (ws.bufferedAmount < mostBuffered) {
      ws.send(message, { binary: false })
      return undefined
    }
    return new Promise((sent) => ws.send(message, { binary: false }, sent))
  }
}

async function serve(ws, socket, url) {
  const options = JSON.parse(url.searchParams.get('options'))
  const messages = url.pathname === '/ws-replay' ? raw(options) : normalized(options)
  const send = sender(ws, socket, url.searchParams.has('each'))
  const none = url.searchParams.has('none')
  let count = 0
  let bytes = 0
  try {
    for await (const message of messages) {
      if (ws.readyState !== ws.OPEN) return
      if (!none || count === 0) {
        const wait = send(message)
        if (wait) await wait
      }
      count++
      bytes += message.length
    }
    if (none) ws.send(JSON.stringify({ count, bytes }))
    ws.close(1000)
  } catch (error) {
    console.error('peer:', error)
    ws.close(1011)
  }
}

const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })
const server = createServer()
server.on('upgrade', (request, socket, head) =>
  sockets.handleUpgrade(request, socket, head, (ws) => serve(ws, socket, new URL(request.url, 'ws://peer'))))
server.listen(0, '127.0.0.1')
await once(server, 'listening')
console.log(`127.0.0.1:${server.address().port}`)
process.stdin.resume().on('end', () => process.exit())
