-- Invoices: what was posted to a wallet in a month of its tenant's zone, frozen, numbered, and explained to the request.
CREATE TABLE issuers (
  id text PRIMARY KEY,
  legal_name text NOT NULL,
  address text NOT NULL DEFAULT '',
  tax_id text NOT NULL DEFAULT '',
  prefix text NOT NULL UNIQUE,                              -- of invoice numbers
  credit_prefix text NOT NULL UNIQUE,                       -- of credit note numbers
  CHECK (prefix <> credit_prefix)
);
INSERT INTO issuers (id, legal_name, prefix, credit_prefix) VALUES ('default', 'Tidegate', 'TG', 'TG-CR');

-- Whom to invoice, and at which tax. A tenant without a row is invoiced under its name, without tax.
CREATE TABLE billing_profiles (
  tenant_id uuid PRIMARY KEY REFERENCES tenants,
  issuer text NOT NULL DEFAULT 'default' REFERENCES issuers,
  legal_name text NOT NULL DEFAULT '',
  address text NOT NULL DEFAULT '',
  tax_id text NOT NULL DEFAULT '',
  tax_name text NOT NULL DEFAULT 'Tax',
  tax_num bigint NOT NULL DEFAULT 0,
  tax_den bigint NOT NULL DEFAULT 1,
  CHECK (tax_num BETWEEN 0 AND tax_den AND tax_den BETWEEN 1 AND 1000000)
);

-- Counted under the row's lock in the transaction that issues: a number exists exactly when its document does.
CREATE TABLE document_numbers (
  issuer text NOT NULL REFERENCES issuers,
  series text NOT NULL CHECK (series IN ('invoice', 'credit_note')),
  year int NOT NULL,
  last bigint NOT NULL CHECK (last > 0),
  PRIMARY KEY (issuer, series, year)
);

CREATE TABLE invoices (
  id uuid PRIMARY KEY,
  wallet_id uuid NOT NULL REFERENCES wallets,
  tenant_id uuid NOT NULL REFERENCES tenants,
  currency char(3) NOT NULL,
  period tstzrange NOT NULL CHECK (lower_inc(period) AND NOT upper_inc(period) AND NOT isempty(period)
                                   AND NOT lower_inf(period) AND NOT upper_inf(period)),
  period_label text NOT NULL,                               -- "2026-11"
  billing_tz text NOT NULL,
  status text NOT NULL CHECK (status IN ('draft', 'issued', 'void')),
  subtotal_exact money12 NOT NULL,
  subtotal money12 NOT NULL,
  tax money12 NOT NULL,
  total money12 NOT NULL,
  decimals smallint NOT NULL CHECK (decimals BETWEEN 0 AND 12),
  issuer text NOT NULL REFERENCES issuers,
  seller_name text NOT NULL,
  seller_address text NOT NULL,
  seller_tax_id text NOT NULL,
  buyer_name text NOT NULL,
  buyer_address text NOT NULL,
  buyer_tax_id text NOT NULL,
  tax_name text NOT NULL,
  tax_num bigint NOT NULL,
  tax_den bigint NOT NULL,
  created_at timestamptz NOT NULL,
  number text UNIQUE,
  issued_at timestamptz,
  issue_tx uuid REFERENCES ledger_tx,                       -- null when there was neither residue nor tax
  credit_note text UNIQUE,                                  -- number of the document that took it back
  voided_at timestamptz,
  void_tx uuid REFERENCES ledger_tx,
  void_reason text NOT NULL DEFAULT '',
  replaces uuid REFERENCES invoices,
  CHECK (total = subtotal + tax),
  CHECK (abs(subtotal - subtotal_exact) * 2 * 10::numeric ^ decimals <= 1),
  CHECK (status <> 'draft' OR (number IS NULL AND voided_at IS NULL)),
  CHECK (status <> 'issued' OR (number IS NOT NULL AND issued_at IS NOT NULL AND voided_at IS NULL)),
  CHECK (status <> 'void' OR voided_at IS NOT NULL),
  CHECK ((number IS NULL) = (issued_at IS NULL) AND (credit_note IS NULL OR (number IS NOT NULL AND status = 'void'))),
  CONSTRAINT invoices_do_not_overlap EXCLUDE USING gist (wallet_id WITH =, period WITH &&) WHERE (status <> 'void')
);
CREATE INDEX invoices_tenant ON invoices (tenant_id, id);

CREATE TABLE invoice_lines (
  invoice uuid NOT NULL REFERENCES invoices,
  line int NOT NULL CHECK (line > 0),
  kind text NOT NULL CHECK (kind IN ('usage', 'correction', 'adjustment', 'credit')),
  project_id uuid,
  model text NOT NULL,
  band text NOT NULL,
  meter text NOT NULL,
  price_version bigint,
  micro_per_1m bigint NOT NULL,
  mod_num bigint NOT NULL,
  mod_den bigint NOT NULL,
  source text NOT NULL,
  description text NOT NULL,
  quantity numeric(38, 0) NOT NULL,
  amount money12 NOT NULL,
  PRIMARY KEY (invoice, line)
);

-- A line by local day and key: what exports are made of, without reading a month of requests again.
CREATE TABLE invoice_parts (
  invoice uuid NOT NULL,
  line int NOT NULL,
  day date NOT NULL,
  api_key_id uuid NOT NULL,                                 -- nil where no key stands behind it
  quantity numeric(38, 0) NOT NULL,
  amount money12 NOT NULL,
  PRIMARY KEY (invoice, line, day, api_key_id),
  FOREIGN KEY (invoice, line) REFERENCES invoice_lines
);

CREATE TRIGGER invoice_lines_append_only BEFORE UPDATE OR DELETE ON invoice_lines
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER invoice_parts_append_only BEFORE UPDATE OR DELETE ON invoice_parts
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Only the state moves: draft -> issued -> void, draft -> void. What was printed stays printed.
CREATE FUNCTION keep_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'an invoice is never deleted: void it' USING ERRCODE = 'check_violation';
  END IF;
  IF (OLD.status, NEW.status) NOT IN (('draft', 'issued'), ('issued', 'void'), ('draft', 'void')) THEN
    RAISE EXCEPTION 'invoice % cannot go from % to %', OLD.id, OLD.status, NEW.status USING ERRCODE = 'check_violation';
  END IF;
  IF (OLD.wallet_id, OLD.tenant_id, OLD.currency, OLD.period, OLD.subtotal_exact, OLD.subtotal, OLD.tax, OLD.total, OLD.issuer,
      OLD.seller_name, OLD.seller_address, OLD.seller_tax_id, OLD.buyer_name, OLD.buyer_address, OLD.buyer_tax_id,
      OLD.tax_name, OLD.tax_num, OLD.tax_den)
     IS DISTINCT FROM
     (NEW.wallet_id, NEW.tenant_id, NEW.currency, NEW.period, NEW.subtotal_exact, NEW.subtotal, NEW.tax, NEW.total, NEW.issuer,
      NEW.seller_name, NEW.seller_address, NEW.seller_tax_id, NEW.buyer_name, NEW.buyer_address, NEW.buyer_tax_id,
      NEW.tax_name, NEW.tax_num, NEW.tax_den)
     OR (OLD.status = 'issued' AND (OLD.number, OLD.issued_at, OLD.issue_tx)
                                   IS DISTINCT FROM (NEW.number, NEW.issued_at, NEW.issue_tx)) THEN
    RAISE EXCEPTION 'invoice % is fixed: void it and issue another', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER invoices_kept BEFORE UPDATE OR DELETE ON invoices FOR EACH ROW EXECUTE FUNCTION keep_invoice();

-- Up to where a wallet's ledger belongs to closed periods. The instant of posting decides the period, so what comes
-- after the close is posted after it, however long its transaction had been under way.
CREATE TABLE wallet_closings (
  wallet_id uuid PRIMARY KEY REFERENCES wallets,
  closed_through timestamptz NOT NULL
);
CREATE FUNCTION post_in_open_period() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.posted_at := greatest(NEW.posted_at, (SELECT closed_through FROM wallet_closings WHERE wallet_id = NEW.wallet_id));
  RETURN NEW;
END $$;
CREATE TRIGGER ledger_tx_in_open_period BEFORE INSERT ON ledger_tx FOR EACH ROW
  WHEN (NEW.source_type NOT IN ('invoice', 'invoice_void')) EXECUTE FUNCTION post_in_open_period();
CREATE INDEX ledger_tx_posted ON ledger_tx (wallet_id, posted_at);

-- Sources of other parts of billing stay as they are, whichever they have become.
DO $$
DECLARE present text;
BEGIN
  SELECT pg_get_expr(conbin, conrelid) INTO present FROM pg_constraint
   WHERE conrelid = 'ledger_tx'::regclass AND contype = 'c' AND conname = 'ledger_tx_source_type_check';
  IF present IS NOT NULL THEN
    ALTER TABLE ledger_tx DROP CONSTRAINT ledger_tx_source_type_check;
    EXECUTE format('ALTER TABLE ledger_tx ADD CONSTRAINT ledger_tx_source_type_check CHECK ((%s) OR source_type IN (%L, %L))',
                   present, 'invoice', 'invoice_void');
  END IF;
END $$;
