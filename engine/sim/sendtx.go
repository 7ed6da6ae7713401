package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"sync"

	"hyperlight/engine/model"
)

// sends accepts signed transactions without executing them. The answered hash is made of the exact bytes received, so
// that a proxy's test can prove that it forwarded them untouched, and a nonce counts once, so that a blind retry shows.
type sends struct {
	mu     sync.Mutex
	nonces map[apiKey]int64 // the last one accepted
}

type apiKey struct{ account, key int64 }

// take checks one transaction and returns its hash.
func (s *sends) take(info []byte) (string, *venueError) {
	var tx struct {
		AccountIndex int64
		APIKeyIndex  int64 `json:"ApiKeyIndex"`
		Nonce        *int64
	}
	if json.Unmarshal(info, &tx) != nil {
		return "", errInvalidTxInfo
	}
	if tx.Nonce != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.nonces == nil {
			s.nonces = make(map[apiKey]int64)
		}
		k := apiKey{tx.AccountIndex, tx.APIKeyIndex}
		if last, ok := s.nonces[k]; ok && *tx.Nonce <= last {
			return "", refuse(21104, "invalid nonce")
		}
		s.nonces[k] = *tx.Nonce
	}
	h := sha256.Sum256(info)
	return hex.EncodeToString(h[:]) + "0000000000000000", nil
}

func (s *sends) next(account, key int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.nonces[apiKey{account, key}]; ok {
		return last + 1
	}
	return 1
}

const sendTail = `,"predicted_execution_time_ms":120,"volume_quota_remaining":0}`

func (s *server) sendTx(txType, info []byte) ([]byte, *venueError) {
	if _, err := strconv.ParseUint(string(txType), 10, 8); err != nil {
		return nil, errInvalidParam
	}
	hash, e := s.sends.take(info)
	if e != nil {
		return nil, e
	}
	return append([]byte(`{"code":200,"tx_hash":"`+hash+`"`), sendTail...), nil
}

// sendTxBatch takes two JSON arrays as text, at most 50 transactions.
func (s *server) sendTxBatch(types, infos []byte) ([]byte, *venueError) {
	var kinds []uint8Number
	var txs []string
	if json.Unmarshal(types, &kinds) != nil || json.Unmarshal(infos, &txs) != nil || len(kinds) != len(txs) ||
		len(txs) == 0 || len(txs) > 50 {
		return nil, errInvalidParam
	}
	b := []byte(`{"code":200,"tx_hash":[`)
	for i, tx := range txs {
		hash, e := s.sends.take([]byte(tx))
		if e != nil {
			return nil, e
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = model.AppendString(b, hash)
	}
	return append(append(b, ']'), sendTail...), nil
}

// uint8Number reads a transaction type; a []uint8 would be taken for base64 text.
type uint8Number uint16

func (s *server) nextNonce(q query) ([]byte, *venueError) {
	account, ok1 := q.int("account_index", -1)
	key, ok2 := q.int("api_key_index", -1)
	if !ok1 || !ok2 || account < 0 || key < 0 || key > 255 {
		return nil, errInvalidParam
	}
	return append(strconv.AppendInt([]byte(`{"code":200,"nonce":`), s.sends.next(account, key), 10), '}'), nil
}

// streamSend answers jsonapi/sendtx and jsonapi/sendtxbatch: type and id come back in front of the REST answer.
func (s *server) streamSend(kind string, data json.RawMessage) []byte {
	var d struct {
		ID      json.RawMessage `json:"id"`
		TxType  json.RawMessage `json:"tx_type"`
		TxInfo  json.RawMessage `json:"tx_info"`
		TxTypes string          `json:"tx_types"`
		TxInfos string          `json:"tx_infos"`
	}
	var body []byte
	e := errInvalidTxInfo
	if json.Unmarshal(data, &d) == nil {
		if kind == "jsonapi/sendtx" {
			body, e = s.sendTx(d.TxType, d.TxInfo)
		} else {
			body, e = s.sendTxBatch([]byte(d.TxTypes), []byte(d.TxInfos))
		}
	}
	if e != nil {
		body = e.appendBody(nil)
	}
	out := model.AppendString([]byte(`{"type":`), kind)
	if len(d.ID) > 0 {
		out = append(append(out, `,"id":`...), d.ID...)
	}
	return append(append(out, ','), body[1:]...)
}
