-- What was used and what it cost. A unique constraint must contain the partition key: the id is a UUIDv7, so it can be
-- that key, and an event is recognised for ever, however late it comes again.
CREATE TABLE wal_batches (
  gateway_id text NOT NULL,
  epoch bigint NOT NULL,
  seqs int8range NOT NULL CHECK (lower_inc(seqs) AND NOT upper_inc(seqs) AND NOT isempty(seqs)),
  duplicates int NOT NULL DEFAULT 0,                        -- events of it that an earlier batch had brought
  sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
  applied_at timestamptz NOT NULL,
  FOREIGN KEY (gateway_id, epoch) REFERENCES epochs,
  EXCLUDE USING gist (gateway_id WITH =, epoch WITH =, seqs WITH &&)
);

CREATE TABLE usage_events (
  id uuid PRIMARY KEY,                                      -- the request id
  payload_sha256 bytea NOT NULL CHECK (octet_length(payload_sha256) = 32),
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  api_key_id uuid NOT NULL,
  wallet_id uuid NOT NULL,
  lease_id uuid,
  model text NOT NULL,
  variant text NOT NULL,
  region text NOT NULL,
  pool text NOT NULL,
  worker_id text NOT NULL,
  weights_digest text NOT NULL,
  gateway_id text NOT NULL,
  epoch bigint NOT NULL,
  seq bigint NOT NULL,
  status text NOT NULL CHECK (status IN ('completed', 'cancelled', 'interrupted', 'failed')),
  finish_reason text NOT NULL,
  admitted_at timestamptz NOT NULL,
  started_at timestamptz NOT NULL,
  completed_at timestamptz NOT NULL,
  clock_err_us bigint NOT NULL CHECK (clock_err_us >= 0),
  priced_at timestamptz NOT NULL,                           -- the instant that decided the price
  prompt bigint NOT NULL,
  hit bigint NOT NULL,
  miss bigint NOT NULL,
  output bigint NOT NULL,
  reasoning bigint NOT NULL,
  price_version bigint NOT NULL REFERENCES price_versions,
  band text NOT NULL,
  amount money12 NOT NULL CHECK (amount >= 0),
  is_stream boolean NOT NULL,
  surface text NOT NULL,
  CHECK (hit >= 0 AND miss >= 0 AND hit + miss = prompt AND reasoning BETWEEN 0 AND output),
  CHECK (admitted_at <= started_at AND started_at <= completed_at)
);
CREATE INDEX usage_events_tenant ON usage_events (tenant_id, id);

CREATE TABLE rated_lines (
  event_id uuid NOT NULL REFERENCES usage_events,
  rating_no smallint NOT NULL DEFAULT 1,
  meter text NOT NULL,
  price_version bigint NOT NULL,
  band text NOT NULL,
  quantity numeric(38, 0) NOT NULL CHECK (quantity >= 0),
  micro_per_1m bigint NOT NULL,
  mod_num bigint NOT NULL DEFAULT 1,
  mod_den bigint NOT NULL DEFAULT 1 CHECK (mod_den > 0),
  amount money12 NOT NULL,
  tzdata text NOT NULL,                                     -- version of the zone data that chose the band
  posting uuid REFERENCES ledger_tx,                        -- null when the posting's total is zero
  voided_by uuid REFERENCES ledger_tx,
  PRIMARY KEY (event_id, rating_no, meter),
  CHECK (mod_num <> mod_den OR amount = quantity * micro_per_1m * 0.000000000001)
);

CREATE TABLE usage_hourly (
  hour timestamptz NOT NULL,                                -- of completion, UTC
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  api_key_id uuid NOT NULL,
  model text NOT NULL,
  region text NOT NULL,
  pool text NOT NULL,
  meter text NOT NULL,
  band text NOT NULL,
  currency char(3) NOT NULL,
  quantity numeric(38, 0) NOT NULL,
  amount money12 NOT NULL,
  PRIMARY KEY (hour, tenant_id, project_id, api_key_id, model, region, pool, meter, band, currency)
) WITH (fillfactor = 70);

CREATE TRIGGER usage_events_append_only BEFORE UPDATE OR DELETE ON usage_events
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER rated_lines_kept BEFORE DELETE ON rated_lines
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
