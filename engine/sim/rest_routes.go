package sim

// route is one native operation that the simulator answers.
type route struct {
	weight int
	auth   bool // refused without a token
	post   bool
	fixed  string // the whole answer of an operation that depends on nothing
}

// routes holds the operations by their path below /api/v1/, and the two that stand at the top.
var routes = map[string]route{
	"/":     {weight: 300},
	"/info": {weight: 300, fixed: `{"contract_address":"0x0000000000000000000000000000000000000304"}`},

	"account":               {weight: 300},
	"accountActiveOrders":   {weight: 300, auth: true},
	"accountInactiveOrders": {weight: 100, auth: true},
	"accountLimits":         {weight: 300, auth: true},
	"accountMetadata":       {weight: 300},
	"accountsByL1Address":   {weight: 300},
	"accountTxs":            {weight: 300, fixed: `{"code":200,"txs":[]}`},
	"apikeys":               {weight: 150},
	"assetDetails":          {weight: 300},
	"block":                 {weight: 300},
	"blocks":                {weight: 300},
	"blockTxs":              {weight: 300, fixed: `{"code":200,"txs":[]}`},
	"candles":               {weight: 300},
	"currentHeight":         {weight: 300},
	"exchangeMetrics":       {weight: 300},
	"exchangeStats":         {weight: 300},
	"executeStats":          {weight: 300},
	"funding-rates":         {weight: 300},
	"fundings":              {weight: 300},
	"liquidations":          {weight: 300, auth: true},
	"marketMetrics":         {weight: 300},
	"marketPriceCharts":     {weight: 300},
	"markPriceCandles":      {weight: 300},
	"nextNonce":             {weight: 6},
	"orderBookDetails":      {weight: 300},
	"orderBookOrders":       {weight: 300},
	"orderBooks":            {weight: 300},
	"positionFunding":       {weight: 300, auth: true},
	"publicPoolsMetadata":   {weight: 300},
	"recentTrades":          {weight: 600},
	"sendTx":                {weight: 6, post: true},
	"sendTxBatch":           {weight: 6, post: true},
	"tokenlist":             {weight: 300},
	"trades":                {weight: 600},
	"tx":                    {weight: 300},
	"txFromL1TxHash":        {weight: 50},
	"txs":                   {weight: 300, fixed: `{"code":200,"txs":[]}`},

	"announcement":        {weight: 300, fixed: `{"code":200,"announcements":[]}`},
	"changeAccountTier":   {weight: 3000, post: true, fixed: `{"code":200}`},
	"createIntentAddress": {weight: 3000, post: true, fixed: `{"code":200,"intent_address":"0x0000000000000000000000000000000000000001"}`},
	"deposit/history":     {weight: 300, auth: true, fixed: `{"code":200,"deposits":[],"cursor":""}`},
	"deposit/latest":      {weight: 100}, // nobody deposits: not found
	"deposit/networks":    {weight: 300, fixed: `{"code":200,"networks":[{"name":"Simulated","chain_id":"300","explorer":""}]}`},
	"export":              {weight: 300, auth: true, fixed: `{"code":200,"data_url":""}`},
	"fastbridge/info":     {weight: 300, fixed: `{"code":200,"fast_bridge_limit":"1000000.000000"}`},
	"fastwithdraw":        {weight: 3000, post: true, fixed: `{"code":200}`},
	"fastwithdraw/info":   {weight: 300, auth: true, fixed: `{"code":200,"to_account_index":0,"withdraw_limit":"0.000000","max_withdrawal_amount":"0.000000"}`},
	"getMakerOnlyApiKeys": {weight: 300, auth: true, fixed: `{"code":200,"api_key_indexes":[]}`},
	"l1Metadata":          {weight: 300, auth: true, fixed: `{"code":200,"l1_address":"","can_invite":true,"referral_points_percentage":""}`},
	"layer1BasicInfo":     {weight: 300, fixed: `{"code":200,"l1_providers":[{"chainId":1,"networkId":1,"latestBlockNumber":0}],"l1_providers_health":true,"validator_info":[],"contract_addresses":[],"latest_l1_generic_block":0,"latest_l1_governance_block":0,"latest_l1_desert_block":0}`},
	"leaseOptions":        {weight: 300, fixed: `{"code":200,"options":[],"lit_incentives_account_index":0}`},
	"leases":              {weight: 300, fixed: `{"code":200,"leases":[]}`},
	"litLease":            {weight: 300, post: true, fixed: `{"code":200,"tx_hash":"00"}`},
	"notification/ack":    {weight: 3000, post: true, fixed: `{"code":200}`},
	"partnerStats":        {weight: 300, fixed: `{"code":200,"total_fees_earned":"0","total_taker_fees_earned":"0","total_maker_fees_earned":"0","total_volume":"0","total_taker_volume":"0","total_maker_volume":"0","total_trades":0,"total_taker_trades":0,"total_maker_trades":0,"unique_clients":0,"daily_stats":[]}`},
	"pnl":                 {weight: 300, fixed: `{"code":200,"resolution":"1h","pnl":[]}`},

	"referral/create":          {weight: 3000, post: true, fixed: `{"code":200,"referral_code":"SIM","remaining_usage":3}`},
	"referral/get":             {weight: 3000, fixed: `{"code":200,"referral_code":"SIM","remaining_usage":3}`},
	"referral/kickback/update": {weight: 3000, post: true, fixed: `{"code":200,"success":true}`},
	"referral/points":          {weight: 3000, auth: true, fixed: `{"code":200,"referrals":[],"user_total_points":0,"user_last_week_points":0,"user_total_referral_reward_points":0,"user_last_week_referral_reward_points":0,"reward_point_multiplier":"1"}`},
	"referral/update":          {weight: 3000, post: true, fixed: `{"code":200,"success":true}`},
	"referral/use":             {weight: 3000, post: true, fixed: `{"code":200}`},
	"referral/userReferrals":   {weight: 3000, fixed: `{"code":200,"cursor":"","referrals":[],"used_code":""}`},

	"rfq/create":  {weight: 300, post: true, auth: true}, // there are no quotes to ask for: not found
	"rfq/get":     {weight: 300, auth: true},
	"rfq/list":    {weight: 300, auth: true, fixed: `{"code":200,"rfqs":[]}`},
	"rfq/respond": {weight: 300, post: true, auth: true},
	"rfq/update":  {weight: 300, post: true, auth: true},

	"setAccountMetadata":  {weight: 3000, post: true, fixed: `{"code":200}`},
	"setMakerOnlyApiKeys": {weight: 300, post: true, auth: true, fixed: `{"code":200}`},
	"syntheticSpotInfo":   {weight: 300, fixed: `{"code":200,"bps_per_day":0,"expiry_time_ms":0,"spot_close_ms":0,"source":"","symbol":""}`},
	"systemConfig":        {weight: 300, fixed: systemConfig},
	"tokens":              {weight: 3000, fixed: `{"code":200,"api_tokens":[]}`},
	"tokens/create":       {weight: 23000, post: true, fixed: `{"code":200,"token_id":1,"api_token":"ro:1:single:0:00","name":"","account_index":1,"expiry":0,"sub_account_access":false,"revoked":false,"scopes":""}`},
	"tokens/revoke":       {weight: 3000, post: true, fixed: `{"code":200,"token_id":1,"revoked":true}`},
	"transfer/history":    {weight: 300, auth: true, fixed: `{"code":200,"transfers":[],"cursor":""}`},
	"transferFeeInfo":     {weight: 500, auth: true, fixed: `{"code":200,"transfer_fee_usdc":3000000}`},
	"withdraw/history":    {weight: 300, auth: true, fixed: `{"code":200,"withdraws":[],"cursor":""}`},
	"withdrawalDelay":     {weight: 300, fixed: `{"seconds":1805}`}, // the one success without a code
}

const systemConfig = `{"code":200,"liquidity_pool_index":281474976710654,"staking_pool_index":281474976624800,"funding_fee_rebate_account_index":713888,"market_maker_incentive_account_index":723106,"liquidity_pool_cooldown_period":300000,"staking_pool_lockup_period":259200000,"max_integrator_spot_taker_fee":10000,"max_integrator_spot_maker_fee":10000,"max_integrator_perps_taker_fee":1000,"max_integrator_perps_maker_fee":1000}`

// assets are the rows of assetDetails by asset id.
var assets = [...]struct {
	id  int64
	row string
}{
	{1, `{"asset_id":1,"symbol":"ETH","l1_decimals":18,"decimals":8,"min_transfer_amount":"0.00100000","min_withdrawal_amount":"0.00100000","margin_mode":"disabled","index_price":"0","l1_address":"0x0000000000000000000000000000000000000000"}`},
	{3, `{"asset_id":3,"symbol":"USDC","l1_decimals":6,"decimals":6,"min_transfer_amount":"1.000000","min_withdrawal_amount":"1.000000","margin_mode":"enabled","index_price":"1.000000","l1_address":"0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"}`},
}

// answerAssets lists the assets, or the one that was asked for.
func answerAssets(q query) ([]byte, *venueError) {
	id, ok := q.int("asset_id", 0)
	if !ok {
		return nil, errInvalidParam
	}
	b := []byte(`{"code":200,"asset_details":[`)
	n := 0
	for _, a := range assets {
		if id != 0 && a.id != id {
			continue
		}
		if n++; n > 1 {
			b = append(b, ',')
		}
		b = append(b, a.row...)
	}
	return append(b, `]}`...), nil
}
