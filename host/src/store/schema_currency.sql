-- Credits that are pegged to another currency than USD: `usd_per_credit` is then in that one.
ALTER TABLE commodities ADD COLUMN currency TEXT NOT NULL DEFAULT 'USD';
