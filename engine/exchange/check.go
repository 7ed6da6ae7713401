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
	for row, err := range s.Scan(ctx, key.All(key.ExchangeSums)) {
		if errors.Is(err, kv.ErrDamaged) {
			return report([]byte{byte(key.ExchangeSums)}, fmt.Sprintf("%s cannot be read: %v", key.ExchangeSums.Name(), err))
		}
		if err != nil {
			return fmt.Errorf("read sums of the exchange: %w", err)
		}
		_, keyErr := key.ParseExchangeSum(row.Key)
		_, err := record.DecodeExchangeSums(row.Value)
		if err = errors.Join(keyErr, err); err != nil {
			if err := report(append([]byte(nil), row.Key...), err.Error()); err != nil {
				return err
			}
		}
	}
	return nil
}
