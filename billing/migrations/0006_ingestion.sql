-- Usage in a form that is cheap to write: one row an event, in monthly partitions, with everything that repeats kept once
-- in a table of its own. What people and other programs read keeps its names and columns: usage_events, rated_lines and
-- usage_hourly become views.

-- An event's tenant in four bytes, for the index that lists a tenant's usage.
ALTER TABLE tenants ADD COLUMN number int GENERATED ALWAYS AS IDENTITY UNIQUE;

CREATE FUNCTION uuid_floor(instant timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT (lpad(to_hex(floor(extract(epoch FROM instant) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;
CREATE FUNCTION uuid_instant(id uuid) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
  SELECT 'epoch'::timestamptz + ('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint * interval '1 millisecond'
$$;

-- Who pays: of one gateway life, so that a lease and the sequence numbers belong to it. The nil lease is "none".
CREATE TABLE usage_payers (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  gateway_id text NOT NULL,
  epoch bigint NOT NULL,
  tenant_id uuid NOT NULL REFERENCES tenants,
  project_id uuid NOT NULL REFERENCES projects,
  api_key_id uuid NOT NULL REFERENCES api_keys,
  wallet_id uuid NOT NULL REFERENCES wallets,
  lease_id uuid NOT NULL,
  FOREIGN KEY (gateway_id, epoch) REFERENCES epochs,
  UNIQUE (api_key_id, wallet_id, lease_id, project_id, tenant_id, gateway_id, epoch)
);
-- Where and how it ran and ended.
CREATE TABLE usage_routes (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  model text NOT NULL,
  variant text NOT NULL,
  region text NOT NULL,
  pool text NOT NULL,
  worker_id text NOT NULL,
  weights_digest text NOT NULL,
  surface text NOT NULL,
  finish_reason text NOT NULL,
  status text NOT NULL CHECK (status IN ('completed', 'cancelled', 'interrupted', 'failed')),
  is_stream boolean NOT NULL,
  UNIQUE (worker_id, model, finish_reason, surface, status, is_stream, variant, region, pool, weights_digest)
);
-- What it was rated with: amounts of lines are quantity x rate, so the rates say everything.
CREATE TABLE usage_tariffs (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  price_version bigint NOT NULL REFERENCES price_versions,
  band text NOT NULL,
  tzdata text NOT NULL,                                     -- version of the zone data that chose the band
  hit_micro_per_1m bigint NOT NULL CHECK (hit_micro_per_1m >= 0),
  miss_micro_per_1m bigint NOT NULL CHECK (miss_micro_per_1m >= 0),
  output_micro_per_1m bigint NOT NULL CHECK (output_micro_per_1m >= 0),
  UNIQUE (price_version, band, tzdata, hit_micro_per_1m, miss_micro_per_1m, output_micro_per_1m)
);
-- What the rollup is by.
CREATE TABLE usage_cells (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  api_key_id uuid NOT NULL,
  model text NOT NULL,
  region text NOT NULL,
  pool text NOT NULL,
  band text NOT NULL,
  currency char(3) NOT NULL,
  UNIQUE (tenant_id, project_id, api_key_id, model, region, pool, band, currency)
);

-- payer, route and tariff have no foreign keys: a check of each for each event would cost more than the event. They are
-- looked up in the same transaction, or were committed before; they are never deleted; reconcile counts them ("refs").
CREATE TABLE usage_log (
  seq bigint NOT NULL,
  admitted_at timestamptz NOT NULL,
  started_at timestamptz NOT NULL,
  completed_at timestamptz NOT NULL,
  priced_at timestamptz NOT NULL,                           -- the instant that decided the price
  hit bigint NOT NULL,
  miss bigint NOT NULL,
  output bigint NOT NULL,
  reasoning bigint NOT NULL,
  payer int NOT NULL,
  route int NOT NULL,
  tariff int NOT NULL,
  tenant int NOT NULL,
  clock_err_us int NOT NULL CHECK (clock_err_us >= 0),
  id uuid NOT NULL,                                         -- the request id, a UUIDv7: unique, so recognised for ever
  posting uuid,                                             -- of ledger_tx; null when nothing was charged
  amount money12 NOT NULL CHECK (amount >= 0),
  payload_sha256 bytea NOT NULL CHECK (octet_length(payload_sha256) = 32),
  PRIMARY KEY (id),
  CHECK (hit >= 0 AND miss >= 0 AND reasoning BETWEEN 0 AND output),
  CHECK (admitted_at <= started_at AND started_at <= completed_at),
  CHECK (posting IS NOT NULL OR amount = 0)
) PARTITION BY RANGE (id);
CREATE INDEX usage_log_tenant ON usage_log (tenant, id);

-- The partition of the month (UTC) that holds ids of this instant. True when it was made now. ATTACH, unlike CREATE ...
-- PARTITION OF, lets inserts into the other months go on.
CREATE FUNCTION make_usage_partition(instant timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  month timestamp := date_trunc('month', instant AT TIME ZONE 'UTC');
  partition text := 'usage_log_' || to_char(month, 'YYYY_MM');
BEGIN
  IF to_regclass(partition) IS NOT NULL THEN RETURN false; END IF;
  PERFORM pg_advisory_xact_lock(hashtext('make_usage_partition'));
  IF to_regclass(partition) IS NOT NULL THEN RETURN false; END IF;
  EXECUTE format('CREATE TABLE %I (LIKE usage_log INCLUDING ALL)', partition);
  EXECUTE format('ALTER TABLE usage_log ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', partition,
                 uuid_floor(month AT TIME ZONE 'UTC'), uuid_floor((month + interval '1 month') AT TIME ZONE 'UTC'));
  RETURN true;
END $$;

-- Ids older than this are refused: what they would repeat is no longer stored.
CREATE TABLE usage_retention (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  kept_from timestamptz NOT NULL
);
INSERT INTO usage_retention (kept_from) VALUES ('2020-01-01T00:00:00Z');

-- Which of these ids are stored. A function, for its settings: a plan made while a month was almost empty would read the
-- whole month for each batch until the next ANALYZE.
CREATE FUNCTION known_usage(ids uuid[]) RETURNS TABLE (id uuid, payload_sha256 bytea) LANGUAGE plpgsql STABLE
  SET enable_seqscan = off SET jit = off AS $$
BEGIN
  RETURN QUERY SELECT l.id, l.payload_sha256 FROM unnest(ids) AS a(id)
    CROSS JOIN LATERAL (SELECT u.id, u.payload_sha256 FROM usage_log u WHERE u.id = a.id OFFSET 0) l;
END $$;

-- Lines of a posting that no single event has: discounts, free quotas. Negative in the customer's favour.
CREATE TABLE posting_lines (
  posting uuid NOT NULL REFERENCES ledger_tx,
  line int NOT NULL,
  hour timestamptz NOT NULL,
  cell int NOT NULL REFERENCES usage_cells,
  meter text NOT NULL CHECK (meter NOT IN ('input_cache_hit', 'input_cache_miss', 'output')),
  quantity numeric(38, 0) NOT NULL,
  amount money12 NOT NULL,
  note text NOT NULL DEFAULT '',
  PRIMARY KEY (posting, line)
);

CREATE TABLE usage_hours (
  hour timestamptz NOT NULL,                                -- of completion, UTC
  cell int NOT NULL REFERENCES usage_cells,
  hit numeric(38, 0) NOT NULL,
  miss numeric(38, 0) NOT NULL,
  output numeric(38, 0) NOT NULL,
  hit_amount money12 NOT NULL,
  miss_amount money12 NOT NULL,
  output_amount money12 NOT NULL,
  PRIMARY KEY (cell, hour)
) WITH (fillfactor = 70);
CREATE INDEX usage_hours_hour ON usage_hours (hour);
-- The same for posting_lines.
CREATE TABLE usage_hours_extra (
  hour timestamptz NOT NULL,
  cell int NOT NULL REFERENCES usage_cells,
  meter text NOT NULL,
  quantity numeric(38, 0) NOT NULL,
  amount money12 NOT NULL,
  PRIMARY KEY (cell, hour, meter)
) WITH (fillfactor = 70);

-- What an earlier version stored moves over, to the pico or not at all.
ALTER TABLE usage_events RENAME TO usage_events_0004;
ALTER TABLE rated_lines RENAME TO rated_lines_0004;
ALTER TABLE usage_hourly RENAME TO usage_hourly_0004;

INSERT INTO usage_payers (gateway_id, epoch, tenant_id, project_id, api_key_id, wallet_id, lease_id)
  SELECT DISTINCT gateway_id, epoch, tenant_id, project_id, api_key_id, wallet_id,
         coalesce(lease_id, '00000000-0000-0000-0000-000000000000') FROM usage_events_0004;
INSERT INTO usage_routes (model, variant, region, pool, worker_id, weights_digest, surface, finish_reason, status, is_stream)
  SELECT DISTINCT model, variant, region, pool, worker_id, weights_digest, surface, finish_reason, status, is_stream
    FROM usage_events_0004;
CREATE TEMPORARY TABLE ratings_0004 ON COMMIT DROP AS
  SELECT event_id, price_version, band, min(tzdata) AS tzdata, min(posting::text)::uuid AS posting,
         min(micro_per_1m) FILTER (WHERE meter = 'input_cache_hit') AS hit,
         min(micro_per_1m) FILTER (WHERE meter = 'input_cache_miss') AS miss,
         min(micro_per_1m) FILTER (WHERE meter = 'output') AS output
    FROM rated_lines_0004 GROUP BY 1, 2, 3;
INSERT INTO usage_tariffs (price_version, band, tzdata, hit_micro_per_1m, miss_micro_per_1m, output_micro_per_1m)
  SELECT DISTINCT price_version, band, tzdata, hit, miss, output FROM ratings_0004;
INSERT INTO usage_cells (tenant_id, project_id, api_key_id, model, region, pool, band, currency)
  SELECT DISTINCT tenant_id, project_id, api_key_id, model, region, pool, band, currency FROM usage_hourly_0004;

SELECT make_usage_partition(m) FROM (
  SELECT DISTINCT date_trunc('month', uuid_instant(id), 'UTC') AS m FROM usage_events_0004
  UNION SELECT now() + n * interval '1 month' FROM generate_series(0, 2) n) months;

INSERT INTO usage_log (seq, admitted_at, started_at, completed_at, priced_at, hit, miss, output, reasoning, payer, route,
                       tariff, tenant, clock_err_us, id, posting, amount, payload_sha256)
  SELECT u.seq, u.admitted_at, u.started_at, u.completed_at, u.priced_at, u.hit, u.miss, u.output, u.reasoning, p.id, r.id,
         t.id, n.number, u.clock_err_us, u.id, a.posting, u.amount, u.payload_sha256
    FROM usage_events_0004 u
    JOIN usage_payers p USING (gateway_id, epoch, tenant_id, project_id, api_key_id, wallet_id)
    JOIN usage_routes r USING (model, variant, region, pool, worker_id, weights_digest, surface, finish_reason, status, is_stream)
    JOIN ratings_0004 a ON a.event_id = u.id
    JOIN usage_tariffs t ON (t.price_version, t.band, t.tzdata, t.hit_micro_per_1m, t.miss_micro_per_1m, t.output_micro_per_1m)
         = (a.price_version, a.band, a.tzdata, a.hit, a.miss, a.output)
    JOIN tenants n ON n.id = u.tenant_id
   WHERE p.lease_id = coalesce(u.lease_id, '00000000-0000-0000-0000-000000000000');
INSERT INTO usage_hours (hour, cell, hit, miss, output, hit_amount, miss_amount, output_amount)
  SELECT h.hour, c.id, coalesce(sum(quantity) FILTER (WHERE meter = 'input_cache_hit'), 0),
         coalesce(sum(quantity) FILTER (WHERE meter = 'input_cache_miss'), 0),
         coalesce(sum(quantity) FILTER (WHERE meter = 'output'), 0),
         coalesce(sum(amount) FILTER (WHERE meter = 'input_cache_hit'), 0),
         coalesce(sum(amount) FILTER (WHERE meter = 'input_cache_miss'), 0),
         coalesce(sum(amount) FILTER (WHERE meter = 'output'), 0)
    FROM usage_hourly_0004 h
    JOIN usage_cells c USING (tenant_id, project_id, api_key_id, model, region, pool, band, currency)
   GROUP BY 1, 2;

CREATE VIEW usage_events AS
  SELECT l.id, l.payload_sha256, p.tenant_id, p.project_id, p.api_key_id, p.wallet_id,
         nullif(p.lease_id, '00000000-0000-0000-0000-000000000000') AS lease_id, r.model, r.variant, r.region, r.pool,
         r.worker_id, r.weights_digest, p.gateway_id, p.epoch, l.seq, r.status, r.finish_reason, l.admitted_at, l.started_at,
         l.completed_at, l.clock_err_us::bigint AS clock_err_us, l.priced_at, l.hit + l.miss AS prompt, l.hit, l.miss,
         l.output, l.reasoning, t.price_version, t.band, l.amount, r.is_stream, r.surface
    FROM usage_log l
    JOIN usage_payers p ON p.id = l.payer
    JOIN usage_routes r ON r.id = l.route
    JOIN usage_tariffs t ON t.id = l.tariff;

CREATE VIEW rated_lines AS
  SELECT l.id AS event_id, 1::smallint AS rating_no, m.meter, t.price_version, t.band, m.quantity, m.micro_per_1m,
         1::bigint AS mod_num, 1::bigint AS mod_den,
         (m.quantity * m.micro_per_1m * 0.000000000001)::money12 AS amount, t.tzdata, l.posting, NULL::uuid AS voided_by
    FROM usage_log l
    JOIN usage_tariffs t ON t.id = l.tariff
   CROSS JOIN LATERAL (VALUES ('input_cache_hit', l.hit::numeric(38, 0), t.hit_micro_per_1m),
                              ('input_cache_miss', l.miss::numeric(38, 0), t.miss_micro_per_1m),
                              ('output', l.output::numeric(38, 0), t.output_micro_per_1m)) AS m(meter, quantity, micro_per_1m);

CREATE VIEW usage_hourly AS
  SELECT h.hour, c.tenant_id, c.project_id, c.api_key_id, c.model, c.region, c.pool, m.meter, c.band, c.currency, m.quantity,
         m.amount
    FROM usage_hours h
    JOIN usage_cells c ON c.id = h.cell
   CROSS JOIN LATERAL (VALUES ('input_cache_hit', h.hit, h.hit_amount), ('input_cache_miss', h.miss, h.miss_amount),
                              ('output', h.output, h.output_amount)) AS m(meter, quantity, amount)
   WHERE m.quantity > 0
  UNION ALL
  SELECT h.hour, c.tenant_id, c.project_id, c.api_key_id, c.model, c.region, c.pool, h.meter, c.band, c.currency, h.quantity,
         h.amount
    FROM usage_hours_extra h
    JOIN usage_cells c ON c.id = h.cell;

DO $$
BEGIN
  IF EXISTS (SELECT id, payload_sha256, lease_id, model, seq, prompt, amount, completed_at, price_version, band FROM usage_events_0004
             EXCEPT SELECT id, payload_sha256, lease_id, model, seq, prompt, amount, completed_at, price_version, band FROM usage_events)
     OR EXISTS (SELECT event_id, rating_no, meter, price_version, band, quantity, micro_per_1m, amount, tzdata, posting, voided_by
                  FROM rated_lines_0004
                EXCEPT SELECT event_id, rating_no, meter, price_version, band, quantity, micro_per_1m, amount, tzdata, posting,
                              voided_by FROM rated_lines)
     OR EXISTS (SELECT * FROM usage_hourly_0004 EXCEPT SELECT * FROM usage_hourly) THEN
    RAISE EXCEPTION 'stored usage does not fit the new form: run tidegate reconcile with the version before, and mend it first';
  END IF;
END $$;
DROP TABLE rated_lines_0004, usage_hourly_0004, usage_events_0004;

CREATE TRIGGER usage_log_append_only BEFORE UPDATE OR DELETE ON usage_log FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER usage_payers_append_only BEFORE UPDATE OR DELETE ON usage_payers FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER usage_routes_append_only BEFORE UPDATE OR DELETE ON usage_routes FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER usage_tariffs_append_only BEFORE UPDATE OR DELETE ON usage_tariffs FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER usage_cells_append_only BEFORE UPDATE OR DELETE ON usage_cells FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER posting_lines_append_only BEFORE UPDATE OR DELETE ON posting_lines FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Once a statement instead of once an entry: all entries of a transaction are inserted by one statement.
DROP TRIGGER ledger_entries_balanced ON ledger_entries;
CREATE OR REPLACE FUNCTION require_balanced_tx() RETURNS trigger LANGUAGE plpgsql
  SET enable_seqscan = off SET jit = off AS $$
DECLARE
  unbalanced uuid;
BEGIN
  SELECT a.tx INTO unbalanced FROM (SELECT DISTINCT tx FROM added) a
   CROSS JOIN LATERAL (SELECT 1 FROM ledger_entries e WHERE e.tx = a.tx GROUP BY e.currency HAVING sum(e.amount) <> 0) e
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'ledger transaction % does not balance: insert all its entries in one statement', unbalanced
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER ledger_entries_balanced AFTER INSERT ON ledger_entries
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION require_balanced_tx();

ALTER TABLE ledger_tx DROP CONSTRAINT ledger_tx_source_type_check;
ALTER TABLE ledger_tx ADD CONSTRAINT ledger_tx_source_type_check CHECK (source_type IN (
  'top_up', 'usage_batch', 'rerating', 'refund', 'credit_note', 'correction', 'reversal', 'grant', 'grant_expiry',
  'grant_void', 'invoice', 'payment', 'tax', 'rounding', 'write_off'));
