package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// ask sends one request and returns the status and the body.
func ask(t *testing.T, method, address, contentType, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// surface holds reads of the venue and the members that each answer's list rows have; "" where the members stand at
// the top.
func surface(now time.Time) []struct{ path, list, members string } {
	token := fmt.Sprintf("auth=%d:1:2:00", now.Add(time.Hour).Unix())
	span := fmt.Sprintf("&start_timestamp=%d&end_timestamp=%d&count_back=0", now.Add(-2*time.Hour).UnixMilli(), now.Add(time.Minute).UnixMilli())
	return []struct{ path, list, members string }{
		{"/info", "", "contract_address"},
		{"/api/v1/exchangeStats", "order_book_stats", "symbol last_trade_price daily_trades_count daily_base_token_volume daily_quote_token_volume daily_price_change"},
		{"/api/v1/exchangeMetrics?period=d&kind=volume", "", "code metrics"},
		{"/api/v1/executeStats?period=d", "", "code period result"},
		{"/api/v1/marketMetrics?timestamp=1&kind=volume", "metrics", "market data"},
		{"/api/v1/marketPriceCharts?market_ids=0,1", "price_charts", "market_id prices"},
		{"/api/v1/markPriceCandles?market_id=0&resolution=1m" + span, "c", "t o h l c sc"},
		{"/api/v1/blocks?limit=3", "blocks", "commitment height state_root priority_operations on_chain_l2_operations pending_on_chain_operations_pub_data committed_tx_hash committed_at verified_tx_hash verified_at txs status size"},
		{"/api/v1/blocks?limit=2&sort=desc", "blocks", "height"},
		{"/api/v1/block?by=height&value=7", "blocks", "height"},
		{"/api/v1/blockTxs?by=block_height&value=7", "", "code txs"},
		{"/api/v1/txs?limit=1", "", "code txs"},
		{"/api/v1/accountTxs?limit=1&by=account_index&value=1", "", "code txs"},
		{"/api/v1/tokenlist", "tokens", "symbol name logo logo_extension description_key gecko_id paprika_id market asset_type categories is_allowed_mainnet is_asset_allowed_mainnet"},
		{"/api/v1/assetDetails?asset_id=3", "asset_details", "asset_id symbol l1_decimals decimals min_transfer_amount min_withdrawal_amount margin_mode index_price l1_address"},
		{"/api/v1/apikeys?account_index=1", "api_keys", "account_index api_key_index nonce public_key transaction_time"},
		{"/api/v1/accountMetadata?by=index&value=1", "account_metadatas", "account_index name description can_invite"},
		{"/api/v1/trades?sort_by=timestamp&limit=3", "trades", "trade_id tx_hash type market_id size price usd_amount ask_id bid_id ask_account_id bid_account_id is_maker_ask block_height timestamp"},
		{"/api/v1/layer1BasicInfo", "l1_providers", "chainId networkId latestBlockNumber"},
		{"/api/v1/deposit/networks", "networks", "name chain_id explorer"},
		{"/api/v1/deposit/history?account_index=1&l1_address=0x&" + token, "", "code deposits cursor"},
		{"/api/v1/transfer/history?account_index=1&" + token, "", "code transfers cursor"},
		{"/api/v1/withdraw/history?account_index=1&" + token, "", "code withdraws cursor"},
		{"/api/v1/getMakerOnlyApiKeys?account_index=1&" + token, "", "code api_key_indexes"},
		{"/api/v1/transferFeeInfo?account_index=1&" + token, "", "code transfer_fee_usdc"},
		{"/api/v1/liquidations?account_index=1&limit=5&" + token, "", "code liquidations"},
		{"/api/v1/fastbridge/info", "", "code fast_bridge_limit"},
		{"/api/v1/leaseOptions", "", "code options lit_incentives_account_index"},
		{"/api/v1/publicPoolsMetadata?index=0&limit=1", "", "code public_pools"},
		{"/api/v1/announcement", "", "code announcements"},
		{"/api/v1/currentHeight", "", "code height"},
	}
}

// documented is every operation of the venue's documentation.
const documented = `GET:/ GET:/info GET:/api/v1/account GET:/api/v1/accountActiveOrders GET:/api/v1/accountInactiveOrders
GET:/api/v1/accountLimits GET:/api/v1/accountMetadata GET:/api/v1/accountTxs GET:/api/v1/accountsByL1Address
GET:/api/v1/announcement GET:/api/v1/apikeys GET:/api/v1/assetDetails GET:/api/v1/block GET:/api/v1/blockTxs
GET:/api/v1/blocks GET:/api/v1/candles GET:/api/v1/currentHeight GET:/api/v1/deposit/history GET:/api/v1/deposit/latest
GET:/api/v1/deposit/networks GET:/api/v1/exchangeMetrics GET:/api/v1/exchangeStats GET:/api/v1/executeStats
GET:/api/v1/export GET:/api/v1/fastbridge/info GET:/api/v1/fastwithdraw/info GET:/api/v1/funding-rates
GET:/api/v1/fundings GET:/api/v1/getMakerOnlyApiKeys GET:/api/v1/l1Metadata GET:/api/v1/layer1BasicInfo
GET:/api/v1/leaseOptions GET:/api/v1/leases GET:/api/v1/liquidations GET:/api/v1/nextNonce GET:/api/v1/orderBookDetails
GET:/api/v1/orderBookOrders GET:/api/v1/orderBooks GET:/api/v1/partnerStats GET:/api/v1/pnl GET:/api/v1/positionFunding
GET:/api/v1/publicPoolsMetadata GET:/api/v1/recentTrades GET:/api/v1/referral/get GET:/api/v1/referral/points
GET:/api/v1/referral/userReferrals GET:/api/v1/rfq/get GET:/api/v1/rfq/list GET:/api/v1/syntheticSpotInfo
GET:/api/v1/systemConfig GET:/api/v1/tokenlist GET:/api/v1/tokens GET:/api/v1/trades GET:/api/v1/transfer/history
GET:/api/v1/transferFeeInfo GET:/api/v1/tx GET:/api/v1/txFromL1TxHash GET:/api/v1/txs GET:/api/v1/withdraw/history
GET:/api/v1/withdrawalDelay POST:/api/v1/changeAccountTier POST:/api/v1/createIntentAddress POST:/api/v1/fastwithdraw
POST:/api/v1/litLease POST:/api/v1/notification/ack POST:/api/v1/referral/create POST:/api/v1/referral/kickback/update
POST:/api/v1/referral/update POST:/api/v1/referral/use POST:/api/v1/rfq/create POST:/api/v1/rfq/respond
POST:/api/v1/rfq/update POST:/api/v1/sendTx POST:/api/v1/sendTxBatch POST:/api/v1/setAccountMetadata
POST:/api/v1/setMakerOnlyApiKeys POST:/api/v1/tokens/create POST:/api/v1/tokens/revoke`

// TestSurface reads what no recording shows: every answer has the members of the venue's types.
func TestSurface(t *testing.T) {
	x := smallExchange()
	x.AdvanceBy(2 * time.Second)
	addr := serve(t, x, ServeOptions{})
	for _, c := range surface(x.now()) {
		status, body := ask(t, "GET", "http://"+addr+c.path, "", "")
		var top map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &top); status != 200 || err != nil {
			t.Errorf("%s: %d %.200s", c.path, status, body)
			continue
		}
		row := top
		if c.list != "" {
			var rows []map[string]json.RawMessage
			if err := json.Unmarshal(top[c.list], &rows); err != nil || len(rows) == 0 {
				t.Errorf("%s: no rows in %s of %.200s", c.path, c.list, body)
				continue
			}
			row = rows[0]
		}
		for name := range strings.FieldsSeq(c.members) {
			if row[name] == nil {
				t.Errorf("%s: no %s in %.300s", c.path, name, body)
			}
		}
	}
	for _, name := range strings.Fields(documented) {
		method, path, _ := strings.Cut(name, ":")
		if status, body := ask(t, method, "http://"+addr+path, "", ""); strings.HasPrefix(body, "<html>") {
			t.Errorf("%s %s: %d %.100s", method, path, status, body)
		}
	}
	for path, want := range map[string]string{
		"/api/v1/tx?by=hash&value=00":                           `{"code":21500,"message":"transaction not found"}`,
		"/api/v1/block?by=height&value=99999999999":             `{"code":29404,"message":"not found"}`,
		"/api/v1/block?by=nothing&value=1":                      `{"code":20001,"message":"invalid param "}`,
		"/api/v1/blocks":                                        `{"code":20001,"message":"invalid param "}`,
		"/api/v1/marketPriceCharts?market_ids=0,9999":           `{"code":20001,"message":"invalid param "}`,
		"/api/v1/markPriceCandles?market_id=0&resolution=1w":    `{"code":22402,"message":"invalid resolution: resolution unsupported"}`,
		"/api/v1/executeStats?period=x":                         `{"code":20001,"message":"invalid param "}`,
		"/api/v1/deposit/history?account_index=1&l1_address=0x": `{"code":20001,"message":"invalid param : auth query param and Authorization header are empty"}`,
	} {
		if status, body := ask(t, "GET", "http://"+addr+path, "", ""); status != 400 || body != want {
			t.Errorf("%s: %d %s, want %s", path, status, body, want)
		}
	}
	for _, path := range []string{"/api/v1/", "/api/v1", "/api/v1//", "/infos", "//info/x"} {
		if status, body := ask(t, "GET", "http://"+addr+path, "", ""); status != 403 || !strings.HasPrefix(body, "<html>") {
			t.Errorf("%s: %d %.100s", path, status, body)
		}
	}
}

// TestPause holds a served exchange still: all reads repeat themselves, and go on after it.
func TestPause(t *testing.T) {
	x := New(Options{Seed: 5, Markets: 2, Accounts: 100, Rate: 500})
	addr := serve(t, x, ServeOptions{})
	everything := func() string {
		var b strings.Builder
		for _, c := range surface(time.Unix(1, 0)) {
			_, body := ask(t, "GET", "http://"+addr+c.path, "", "")
			b.WriteString(body)
		}
		for _, path := range []string{"/", "/api/v1/orderBookDetails", "/api/v1/recentTrades?market_id=0&limit=50", "/api/v1/orderBookOrders?market_id=1&limit=50"} {
			_, body := ask(t, "GET", "http://"+addr+path, "", "")
			b.WriteString(body)
		}
		return b.String()
	}
	x.Pause()
	first := everything()
	time.Sleep(60 * time.Millisecond)
	if second := everything(); second != first {
		t.Error("the answers of a paused exchange differ")
	}
	x.Resume()
	for deadline := time.Now().Add(time.Minute); everything() == first; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it stands still after Resume")
		}
	}
}

// TestForms sends one transaction in each form that clients use; what is signed arrives byte for byte.
func TestForms(t *testing.T) {
	addr := serve(t, smallExchange(), ServeOptions{})
	for i, kind := range []string{"urlencoded", "multipart"} {
		info := fmt.Sprintf(`{"AccountIndex":1,"ApiKeyIndex":3,"Nonce":%d,"Memo":"ä&=+ %%41 \u0001\""}`, i+1)
		contentType, body := "application/x-www-form-urlencoded", url.Values{"tx_type": {"14"}, "tx_info": {info}}.Encode()
		if kind == "multipart" {
			var b bytes.Buffer
			w := multipart.NewWriter(&b)
			_ = w.WriteField("tx_type", "14") // a buffer takes everything
			_ = w.WriteField("tx_info", info)
			_ = w.Close()
			contentType, body = w.FormDataContentType(), b.String()
		}
		h := sha256.Sum256([]byte(info))
		if status, got := ask(t, "POST", "http://"+addr+"/api/v1/sendTx", contentType, body); status != 200 || !strings.Contains(got, hex.EncodeToString(h[:])) {
			t.Errorf("%s: %d %s", kind, status, got)
		}
	}
	if status, got := ask(t, "POST", "http://"+addr+"/api/v1/setAccountMetadata", "application/json", `{"metadata":"{}"}`); status != 200 || got != `{"code":200}` {
		t.Errorf("JSON body: %d %s", status, got)
	}
}
