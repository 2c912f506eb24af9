-- Money: wallets, what gateways hold of them, and the ledger that explains every balance.
CREATE TABLE wallets (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants,
  currency char(3) NOT NULL,
  balance money12 NOT NULL DEFAULT 0,
  leased money12 NOT NULL DEFAULT 0 CHECK (leased >= 0),
  credit_limit money12 NOT NULL DEFAULT 0 CHECK (credit_limit >= 0),
  UNIQUE (tenant_id, currency),
  CONSTRAINT wallets_never_overspent CHECK (balance + credit_limit - leased >= 0)
) WITH (fillfactor = 50);

CREATE TABLE grants (
  id uuid PRIMARY KEY,
  wallet_id uuid NOT NULL REFERENCES wallets,
  amount money12 NOT NULL CHECK (amount > 0),
  consumed money12 NOT NULL DEFAULT 0,
  priority smallint NOT NULL,
  effective_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  models text[],
  voided_at timestamptz,
  CHECK (consumed BETWEEN 0 AND amount)
);

-- A life of a gateway process.
CREATE TABLE gateways (id text PRIMARY KEY);
CREATE TABLE epochs (
  gateway_id text NOT NULL REFERENCES gateways,
  epoch bigint NOT NULL CHECK (epoch > 0),
  boot_id uuid NOT NULL,
  region text NOT NULL,
  applied_through bigint NOT NULL DEFAULT 0,
  opened_at timestamptz NOT NULL,
  closed_at timestamptz,
  PRIMARY KEY (gateway_id, epoch),
  UNIQUE (gateway_id, boot_id)
) WITH (fillfactor = 50);

CREATE TABLE leases (
  id uuid PRIMARY KEY,
  wallet_id uuid NOT NULL REFERENCES wallets,
  gateway_id text NOT NULL,
  epoch bigint NOT NULL,
  amount money12 NOT NULL CHECK (amount >= 0),              -- granted less returned
  consumed money12 NOT NULL DEFAULT 0,
  state text NOT NULL CHECK (state IN ('open', 'draining', 'closed', 'quarantined')),
  opened_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  closed_at timestamptz,
  UNIQUE (gateway_id, epoch, wallet_id),
  FOREIGN KEY (gateway_id, epoch) REFERENCES epochs,
  CONSTRAINT leases_never_overdrawn CHECK (consumed BETWEEN 0 AND amount)
) WITH (fillfactor = 50);
CREATE INDEX leases_wallet ON leases (wallet_id) WHERE state <> 'closed';

-- Every grant and return once: the id is the caller's.
CREATE TABLE lease_moves (
  id uuid PRIMARY KEY,
  lease_id uuid NOT NULL REFERENCES leases,
  kind text NOT NULL CHECK (kind IN ('grant', 'return')),
  amount money12 NOT NULL CHECK (amount >= 0),
  moved_at timestamptz NOT NULL
);

CREATE TABLE ledger_accounts (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  wallet_id uuid REFERENCES wallets,
  grant_id uuid REFERENCES grants,
  kind text NOT NULL CHECK (kind IN ('prepaid', 'grant', 'receivable', 'revenue', 'promo_expense', 'cash', 'tax', 'rounding', 'breakage')),
  currency char(3) NOT NULL
);
CREATE UNIQUE INDEX ledger_accounts_house ON ledger_accounts (kind, currency) WHERE wallet_id IS NULL;
CREATE UNIQUE INDEX ledger_accounts_wallet ON ledger_accounts (wallet_id, kind) WHERE wallet_id IS NOT NULL AND grant_id IS NULL;
CREATE UNIQUE INDEX ledger_accounts_grant ON ledger_accounts (grant_id) WHERE grant_id IS NOT NULL;

CREATE TABLE ledger_tx (
  id uuid PRIMARY KEY,
  source_type text NOT NULL CHECK (source_type IN ('top_up', 'usage_batch')),
  source_id text NOT NULL,
  wallet_id uuid NOT NULL REFERENCES wallets,
  effective_at timestamptz NOT NULL,
  posted_at timestamptz NOT NULL,
  note text NOT NULL DEFAULT '',
  reverses uuid REFERENCES ledger_tx,
  UNIQUE (source_type, source_id)                           -- posting the same source twice is impossible
);
CREATE INDEX ledger_tx_wallet ON ledger_tx (wallet_id, id);

CREATE TABLE ledger_entries (
  tx uuid NOT NULL REFERENCES ledger_tx,
  line int NOT NULL,
  account bigint NOT NULL REFERENCES ledger_accounts,
  currency char(3) NOT NULL,
  amount money12 NOT NULL CHECK (amount <> 0),              -- debit positive, credit negative
  PRIMARY KEY (tx, line)
);
CREATE INDEX ledger_entries_account ON ledger_entries (account);

CREATE TABLE grant_uses (
  grant_id uuid NOT NULL REFERENCES grants,
  tx uuid NOT NULL REFERENCES ledger_tx,
  amount money12 NOT NULL CHECK (amount > 0),
  used_at timestamptz NOT NULL,
  PRIMARY KEY (grant_id, tx)
);

CREATE FUNCTION require_balanced_tx() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM ledger_entries WHERE tx = NEW.tx GROUP BY currency HAVING sum(amount) <> 0) THEN
    RAISE EXCEPTION 'ledger transaction % does not balance', NEW.tx USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER ledger_entries_balanced AFTER INSERT ON ledger_entries
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION require_balanced_tx();

CREATE TRIGGER ledger_tx_append_only BEFORE UPDATE OR DELETE ON ledger_tx
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE ON ledger_entries
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
