package exchange

import (
	"context"
	"errors"
	"fmt"

	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// Check walks the stored sums: every row decodes. report is told what does not; an error of it ends the walk. It must not
// run beside Sums.
func Check(ctx context.Context, s *kv.Store, report func(k []byte, problem string) error) error {
	_, err := s.CheckRows(ctx, key.ExchangeSums, report, func(row kv.KV) error {
		_, keyErr := key.ParseExchangeSum(row.Key)
		_, err := record.DecodeExchangeSums(row.Value)
		if err = errors.Join(keyErr, err); err != nil {
			return report(append([]byte(nil), row.Key...), err.Error())
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("check sums of the exchange: %w", err)
	}
	return nil
}
