-- Grants: money given, not paid. It is part of the wallet's balance until it is used, or lapses into breakage.
ALTER TABLE grants ADD COLUMN name text NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE grants ADD COLUMN lapsed money12 NOT NULL DEFAULT 0 CHECK (lapsed >= 0);
ALTER TABLE grants ADD CONSTRAINT grants_never_overdrawn CHECK (consumed + lapsed <= amount);
CREATE INDEX grants_of_wallet ON grants (wallet_id, id);
CREATE INDEX grants_with_money ON grants (wallet_id, expires_at) WHERE consumed + lapsed < amount;

-- What alerts on wallets count from: what could be spent right after the last credit.
ALTER TABLE wallets ADD COLUMN credits int NOT NULL DEFAULT 0;
ALTER TABLE wallets ADD COLUMN full_mark money12 NOT NULL DEFAULT 0;
UPDATE wallets SET full_mark = balance + credit_limit;

-- Once per threshold and period, for ever.
CREATE TABLE alerts (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants,
  kind text NOT NULL CHECK (kind IN ('wallet', 'cap')),
  subject_id uuid NOT NULL,                                 -- wallet or cap
  end_user uuid NOT NULL,
  period text NOT NULL,                                     -- the cap's period, or the wallet's credit, as text
  threshold smallint NOT NULL CHECK (threshold IN (50, 80, 100)),
  limit_amount money12 NOT NULL,
  used_amount money12 NOT NULL,
  raised_at timestamptz NOT NULL,
  attempts int NOT NULL DEFAULT 0,
  next_try_at timestamptz NOT NULL,
  delivered_at timestamptz,
  last_error text NOT NULL DEFAULT '',
  UNIQUE (subject_id, end_user, period, threshold)
);
CREATE INDEX alerts_tenant ON alerts (tenant_id, id);
CREATE INDEX alerts_due ON alerts (next_try_at) WHERE delivered_at IS NULL;

CREATE TABLE webhooks (
  tenant_id uuid PRIMARY KEY REFERENCES tenants,
  url text NOT NULL,
  secret text NOT NULL,                                     -- HMAC key, in clear: it signs every delivery
  changed_at timestamptz NOT NULL
);
