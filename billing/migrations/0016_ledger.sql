-- What happens to usage and postings afterwards: corrections, re-rating, retention. Nothing stored is changed: a voided rating
-- stays, a reversed transaction stays.

ALTER TABLE ledger_tx ADD COLUMN actor text NOT NULL DEFAULT '';   -- who asked for it; empty: the service itself
CREATE UNIQUE INDEX ledger_tx_reversed_once ON ledger_tx (reverses) WHERE reverses IS NOT NULL;

CREATE TABLE rerate_runs (
  id uuid PRIMARY KEY,                                      -- the caller's: the same id goes on where it stopped
  from_at timestamptz NOT NULL,                             -- of completion, half-open
  to_at timestamptz NOT NULL,
  model text NOT NULL,                                      -- '' = every model
  allow_debit boolean NOT NULL,                             -- whether an event may become dearer
  actor text NOT NULL,
  note text NOT NULL CHECK (note <> ''),
  started_at timestamptz NOT NULL,
  finished_at timestamptz,
  cursor uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',  -- the last event looked at
  scanned bigint NOT NULL DEFAULT 0,
  changed bigint NOT NULL DEFAULT 0,
  dearer bigint NOT NULL DEFAULT 0,                         -- left alone, since they would cost more
  unpriced bigint NOT NULL DEFAULT 0,                       -- left alone, since no price covers them now
  CHECK (from_at < to_at)
);
CREATE TABLE rerate_totals (
  run uuid NOT NULL REFERENCES rerate_runs,
  currency char(3) NOT NULL,
  old_amount money12 NOT NULL,
  new_amount money12 NOT NULL,
  PRIMARY KEY (run, currency)
);

-- A later rating of an event; it voids the one before. The first is the event's own row.
CREATE TABLE usage_reratings (
  event_id uuid NOT NULL,
  rating_no smallint NOT NULL CHECK (rating_no >= 2),
  run uuid NOT NULL REFERENCES rerate_runs,
  tariff int NOT NULL REFERENCES usage_tariffs,
  priced_at timestamptz NOT NULL,
  old_amount money12 NOT NULL CHECK (old_amount >= 0),      -- of the rating it voids
  amount money12 NOT NULL CHECK (amount >= 0),
  posting uuid REFERENCES ledger_tx,                        -- null when the amount is zero
  reversal uuid REFERENCES ledger_tx,                       -- of the rating before; null when that was zero
  PRIMARY KEY (event_id, rating_no),
  CHECK (posting IS NOT NULL OR amount = 0),
  CHECK (reversal IS NOT NULL OR old_amount = 0)
);
-- They go when their events' partition goes.
CREATE FUNCTION keep_rerating() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' AND OLD.event_id < (SELECT uuid_floor(kept_from) FROM usage_retention) THEN RETURN OLD; END IF;
  RAISE EXCEPTION '% is append-only: re-rate again', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER usage_reratings_append_only BEFORE UPDATE OR DELETE ON usage_reratings FOR EACH ROW EXECUTE FUNCTION keep_rerating();

-- voided_by is the reversing transaction, or the run when there was nothing to reverse.
CREATE OR REPLACE VIEW rated_lines AS
  SELECT l.id AS event_id, 1::smallint AS rating_no, m.meter, t.price_version, t.band, m.quantity, m.micro_per_1m,
         1::bigint AS mod_num, 1::bigint AS mod_den,
         (m.quantity * m.micro_per_1m * 0.000000000001)::money12 AS amount, t.tzdata, l.posting,
         coalesce(n.reversal, n.run) AS voided_by
    FROM usage_log l
    JOIN usage_tariffs t ON t.id = l.tariff
    LEFT JOIN usage_reratings n ON n.event_id = l.id AND n.rating_no = 2
   CROSS JOIN LATERAL (VALUES ('input_cache_hit', l.hit::numeric(38, 0), t.hit_micro_per_1m),
                              ('input_cache_miss', l.miss::numeric(38, 0), t.miss_micro_per_1m),
                              ('output', l.output::numeric(38, 0), t.output_micro_per_1m)) AS m(meter, quantity, micro_per_1m)
  UNION ALL
  SELECT r.event_id, r.rating_no, m.meter, t.price_version, t.band, m.quantity, m.micro_per_1m, 1::bigint, 1::bigint,
         (m.quantity * m.micro_per_1m * 0.000000000001)::money12, t.tzdata, r.posting, coalesce(n.reversal, n.run)
    FROM usage_reratings r
    JOIN usage_log l ON l.id = r.event_id
    JOIN usage_tariffs t ON t.id = r.tariff
    LEFT JOIN usage_reratings n ON n.event_id = r.event_id AND n.rating_no = r.rating_no + 1
   CROSS JOIN LATERAL (VALUES ('input_cache_hit', l.hit::numeric(38, 0), t.hit_micro_per_1m),
                              ('input_cache_miss', l.miss::numeric(38, 0), t.miss_micro_per_1m),
                              ('output', l.output::numeric(38, 0), t.output_micro_per_1m)) AS m(meter, quantity, micro_per_1m);

-- The rating in force of every event.
CREATE VIEW live_ratings AS
  SELECT l.id, l.payer, l.route, coalesce(r.tariff, l.tariff) AS tariff, coalesce(r.priced_at, l.priced_at) AS priced_at,
         l.admitted_at, l.started_at, l.completed_at, l.clock_err_us, l.hit, l.miss, l.output
    FROM usage_log l
    LEFT JOIN (SELECT DISTINCT ON (event_id) event_id, tariff, priced_at FROM usage_reratings
                ORDER BY event_id, rating_no DESC) r ON r.event_id = l.id;

-- What live events add up to, as usage_hourly shows it.
CREATE VIEW live_hours AS
  WITH counted AS (
    SELECT date_trunc('hour', completed_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS hour, payer, route, tariff,
           sum(hit) AS hit, sum(miss) AS miss, sum(output) AS output
      FROM live_ratings GROUP BY 1, 2, 3, 4)
  SELECT c.hour, p.tenant_id, p.project_id, p.api_key_id, r.model, r.region, r.pool, m.meter, t.band, w.currency,
         sum(m.quantity) AS quantity, sum(m.quantity * m.micro_per_1m * 0.000000000001) AS amount
    FROM counted c
    JOIN usage_payers p ON p.id = c.payer
    JOIN usage_routes r ON r.id = c.route
    JOIN usage_tariffs t ON t.id = c.tariff
    JOIN wallets w ON w.id = p.wallet_id
   CROSS JOIN LATERAL (VALUES ('input_cache_hit', c.hit, t.hit_micro_per_1m), ('input_cache_miss', c.miss, t.miss_micro_per_1m),
                              ('output', c.output, t.output_micro_per_1m)) AS m(meter, quantity, micro_per_1m)
   WHERE m.quantity > 0
   GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10;

-- What a dropped month added up to, so that the books still prove themselves without its events.
CREATE TABLE usage_dropped (
  month timestamptz PRIMARY KEY,
  events bigint NOT NULL,
  dropped_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE usage_dropped_payers (
  month timestamptz NOT NULL,
  payer int NOT NULL,
  events bigint NOT NULL,
  last_seq bigint NOT NULL,
  amount money12 NOT NULL,
  PRIMARY KEY (month, payer)
);
CREATE TABLE usage_dropped_postings (
  month timestamptz NOT NULL,
  tx uuid NOT NULL,
  amount money12 NOT NULL,                                  -- lines it posted less lines it voided
  PRIMARY KEY (month, tx)
);
CREATE TABLE usage_dropped_hours (
  month timestamptz NOT NULL,
  hour timestamptz NOT NULL,
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
  amount money12 NOT NULL
);

CREATE FUNCTION usage_partitions() RETURNS TABLE (name text, month timestamptz) LANGUAGE sql STABLE AS $$
  SELECT c.relname::text, to_timestamp(right(c.relname, 7), 'YYYY_MM')::timestamp AT TIME ZONE 'UTC'
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'usage_log'::regclass ORDER BY 2
$$;

-- Drops a month that lies wholly before kept_from, which was committed earlier: no new event can want it. The lock waits for
-- batches that began before. Answers how many events it held.
CREATE FUNCTION drop_usage_partition(partition text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  first timestamptz;
  dropped bigint;
BEGIN
  SELECT p.month INTO first FROM usage_partitions() p WHERE p.name = partition;
  IF NOT FOUND THEN RETURN 0; END IF;
  IF (first AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC' > (SELECT kept_from FROM usage_retention) THEN
    RAISE EXCEPTION 'usage of % is still kept', partition USING ERRCODE = 'check_violation';
  END IF;
  EXECUTE format('LOCK TABLE ONLY %I IN SHARE MODE', partition);
  CREATE TEMPORARY TABLE going ON COMMIT DROP AS SELECT l.id, l.posting, l.payer, l.seq, l.amount FROM usage_log l
   WHERE l.id >= uuid_floor(first) AND l.id < uuid_floor((first AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC');
  SELECT count(*) INTO dropped FROM going;
  INSERT INTO usage_dropped (month, events) VALUES (first, dropped);
  INSERT INTO usage_dropped_payers SELECT first, payer, count(*), max(seq), sum(amount) FROM going GROUP BY payer;
  INSERT INTO usage_dropped_postings
    SELECT first, tx, sum(amount) FROM (
      SELECT posting AS tx, amount FROM going
      UNION ALL SELECT r.posting, r.amount FROM usage_reratings r JOIN going g ON g.id = r.event_id
      UNION ALL SELECT r.reversal, -r.old_amount FROM usage_reratings r JOIN going g ON g.id = r.event_id) lines
     WHERE tx IS NOT NULL GROUP BY tx;
  INSERT INTO usage_dropped_hours
    SELECT first, date_trunc('hour', u.completed_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC', p.tenant_id, p.project_id, p.api_key_id,
           r.model, r.region, r.pool, m.meter, t.band, w.currency, sum(m.quantity), sum(m.quantity * m.micro_per_1m * 0.000000000001)
      FROM live_ratings u
      JOIN usage_payers p ON p.id = u.payer JOIN usage_routes r ON r.id = u.route JOIN usage_tariffs t ON t.id = u.tariff
      JOIN wallets w ON w.id = p.wallet_id
     CROSS JOIN LATERAL (VALUES ('input_cache_hit', u.hit::numeric, t.hit_micro_per_1m), ('input_cache_miss', u.miss, t.miss_micro_per_1m),
                                ('output', u.output, t.output_micro_per_1m)) AS m(meter, quantity, micro_per_1m)
     WHERE m.quantity > 0 AND u.id >= uuid_floor(first)
       AND u.id < uuid_floor((first AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC')
     GROUP BY 2, 3, 4, 5, 6, 7, 8, 9, 10, 11;
  DELETE FROM usage_reratings r USING going g WHERE r.event_id = g.id;
  EXECUTE format('ALTER TABLE usage_log DETACH PARTITION %I', partition);
  EXECUTE format('DROP TABLE %I', partition);
  RETURN dropped;
END $$;
