package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"hyperlight/config"
)

// nativeReads and nativeWrites are the operations that the venue documents, below /api/v1/ where they begin with no slash.
const (
	nativeReads = `/ /info account accountActiveOrders accountInactiveOrders accountLimits accountMetadata accountTxs
accountsByL1Address announcement apikeys assetDetails block blockTxs blocks candles currentHeight deposit/history
deposit/latest deposit/networks exchangeMetrics exchangeStats executeStats export fastbridge/info fastwithdraw/info fundings
getMakerOnlyApiKeys l1Metadata layer1BasicInfo leaseOptions leases liquidations nextNonce orderBookDetails orderBookOrders
orderBooks partnerStats pnl positionFunding publicPoolsMetadata recentTrades referral/get referral/points
referral/userReferrals rfq/get rfq/list syntheticSpotInfo systemConfig tokenlist tokens trades transfer/history
transferFeeInfo tx txFromL1TxHash txs withdraw/history withdrawalDelay nothing some/thing/else`
	nativeWrites = `changeAccountTier createIntentAddress fastwithdraw litLease notification/ack referral/create
referral/kickback/update referral/update referral/use rfq/create rfq/respond rfq/update sendTx sendTxBatch
setAccountMetadata setMakerOnlyApiKeys tokens/create tokens/revoke nothing`
)

// raw is an answer as it stands on the wire.
func raw(t *testing.T, client *http.Client, method, address, authorization, body string) string {
	t.Helper()
	req, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s\n%s", resp.StatusCode, resp.Header.Get("Content-Type"), bytes.TrimSpace(text))
}

// TestNativeCallsUnchanged sends every documented operation, and some that there are not, to the venue and through a
// server that answers nothing itself: with a query that all of them can read something from and without one, with a
// token of the venue and without. Status, kind and body are the same to the byte.
func TestNativeCallsUnchanged(t *testing.T) {
	v := stillVenue(t)
	a := startInFront(t, v, func(c *config.Config) { c.Relay.AnswerLocally = false })
	compareNative(t, v.rest, a.base)
}

// compareNative sends every operation to both base URLs.
func compareNative(t *testing.T, direct, through string) {
	t.Helper()
	now := time.Now()
	token := fmt.Sprintf("%d:1:7:00", now.Add(time.Hour).Unix())
	full := fmt.Sprintf("account_index=1&api_key_index=7&by=index&value=1&market_id=0&limit=5&index=0&sort_by=timestamp&resolution=1m"+
		"&start_timestamp=%d&end_timestamp=%d&count_back=0&period=d&kind=volume&unknown=%%C3%%A4%%20%%2B", now.Add(-time.Hour).UnixMilli(), now.UnixMilli())
	client := &http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	at := func(name string) string {
		if strings.HasPrefix(name, "/") {
			return name
		}
		return "/api/v1/" + name
	}
	compare := func(method, path, authorization, body string) {
		want := raw(t, client, method, direct+path, authorization, body)
		if got := raw(t, client, method, through+path, authorization, body); got != want {
			t.Errorf("%s %s (token %t):\n%.400s\nbut the venue says\n%.400s", method, path, authorization != "", got, want)
		}
	}
	for _, name := range strings.Fields(nativeReads) {
		for _, query := range []string{"", "?" + full} {
			if name == "candles" && query == "" {
				continue // without a range it is ours
			}
			compare("GET", at(name)+query, "", "")
			compare("GET", at(name)+query, token, "")
		}
		compare("GET", at(name)+"?"+full+"&auth="+token, "", "")
	}
	for _, name := range strings.Fields(nativeWrites) {
		compare("POST", at(name), "", "tx_type=14&tx_info=%7B&tx_types=%5B%5D&account_index=1")
		compare("POST", at(name), token, "account_index=1")
		compare("POST", at(name), "", "account_index=1&auth="+token)
	}
}
