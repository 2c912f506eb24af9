-- Rated lines of requests with modifiers and minimum charges: the tariff has the product of the modifiers, a line is rounded once,
-- half to even at a pico, and what a minimum charge adds is a line of its own without quantity.
DO $$
DECLARE before text;
BEGIN
  SELECT conname INTO before FROM pg_constraint WHERE conrelid = 'usage_tariffs'::regclass AND contype = 'u';
  EXECUTE format('ALTER TABLE usage_tariffs DROP CONSTRAINT %I', before);
END $$;
ALTER TABLE usage_tariffs
  ADD COLUMN mod_num bigint NOT NULL DEFAULT 1 CHECK (mod_num >= 0),
  ADD COLUMN mod_den bigint NOT NULL DEFAULT 1 CHECK (mod_den > 0),
  ADD COLUMN has_minimum boolean NOT NULL DEFAULT false,    -- whether its version has a minimum charge
  ADD CONSTRAINT usage_tariffs_once
    UNIQUE (price_version, band, tzdata, hit_micro_per_1m, miss_micro_per_1m, output_micro_per_1m, mod_num, mod_den);

CREATE FUNCTION line_amount(quantity numeric, micro_per_1m bigint, num bigint, den bigint) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN den = 1 THEN quantity * micro_per_1m * num ELSE half_even(quantity * micro_per_1m * num, den) END * 0.000000000001
$$;
-- What a request costs by a tariff: its lines, and at least the minimum charge of the version if any token was used.
CREATE FUNCTION tariff_amount(hit bigint, miss bigint, output bigint, hit_micro bigint, miss_micro bigint, output_micro bigint,
                              num bigint, den bigint, minimum numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
  SELECT greatest(line_amount(hit, hit_micro, num, den) + line_amount(miss, miss_micro, num, den)
                  + line_amount(output, output_micro, num, den), CASE WHEN hit + miss + output > 0 THEN minimum ELSE 0 END)
$$;

-- Every rating of every event. voided_by is the reversing transaction, or the run when there was nothing to reverse.
CREATE VIEW all_ratings AS
  SELECT l.id AS event_id, 1::smallint AS rating_no, l.tariff, l.hit, l.miss, l.output, l.amount, l.posting,
         coalesce(n.reversal, n.run) AS voided_by
    FROM usage_log l
    LEFT JOIN usage_reratings n ON n.event_id = l.id AND n.rating_no = 2
  UNION ALL
  SELECT r.event_id, r.rating_no, r.tariff, l.hit, l.miss, l.output, r.amount, r.posting, coalesce(n.reversal, n.run)
    FROM usage_reratings r
    JOIN usage_log l ON l.id = r.event_id
    LEFT JOIN usage_reratings n ON n.event_id = r.event_id AND n.rating_no = r.rating_no + 1;

CREATE OR REPLACE VIEW rated_lines AS
  SELECT u.event_id, u.rating_no, m.meter, t.price_version, t.band, m.quantity, m.micro_per_1m, t.mod_num, t.mod_den,
         m.amount::money12 AS amount, t.tzdata, u.posting, u.voided_by
    FROM all_ratings u
    JOIN usage_tariffs t ON t.id = u.tariff
   CROSS JOIN LATERAL
       (VALUES ('input_cache_hit', u.hit::numeric(38, 0), t.hit_micro_per_1m, line_amount(u.hit, t.hit_micro_per_1m, t.mod_num, t.mod_den)),
               ('input_cache_miss', u.miss::numeric(38, 0), t.miss_micro_per_1m, line_amount(u.miss, t.miss_micro_per_1m, t.mod_num, t.mod_den)),
               ('output', u.output::numeric(38, 0), t.output_micro_per_1m, line_amount(u.output, t.output_micro_per_1m, t.mod_num, t.mod_den)),
               ('minimum_charge', 0::numeric(38, 0), 0::bigint, CASE WHEN t.has_minimum THEN u.amount
                  - line_amount(u.hit, t.hit_micro_per_1m, t.mod_num, t.mod_den) - line_amount(u.miss, t.miss_micro_per_1m, t.mod_num, t.mod_den)
                  - line_amount(u.output, t.output_micro_per_1m, t.mod_num, t.mod_den) ELSE 0 END)) AS m(meter, quantity, micro_per_1m, amount)
   WHERE m.meter <> 'minimum_charge' OR m.amount > 0;

CREATE OR REPLACE VIEW live_ratings AS
  SELECT l.id, l.payer, l.route, coalesce(r.tariff, l.tariff) AS tariff, coalesce(r.priced_at, l.priced_at) AS priced_at,
         l.admitted_at, l.started_at, l.completed_at, l.clock_err_us, l.hit, l.miss, l.output,
         CASE WHEN r.event_id IS NULL THEN l.amount ELSE r.amount END AS amount
    FROM usage_log l
    LEFT JOIN (SELECT DISTINCT ON (event_id) event_id, tariff, priced_at, amount FROM usage_reratings
                ORDER BY event_id, rating_no DESC) r ON r.event_id = l.id;

-- Lines of the ratings in force, by the hour they are counted in.
CREATE VIEW live_lines AS
  SELECT u.id AS event_id, date_trunc('hour', u.completed_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS hour, u.payer, u.route,
         u.tariff, m.meter, m.quantity, m.amount
    FROM live_ratings u
    JOIN usage_tariffs t ON t.id = u.tariff
   CROSS JOIN LATERAL
       (VALUES ('input_cache_hit', u.hit::numeric(38, 0), t.hit_micro_per_1m, line_amount(u.hit, t.hit_micro_per_1m, t.mod_num, t.mod_den)),
               ('input_cache_miss', u.miss::numeric(38, 0), t.miss_micro_per_1m, line_amount(u.miss, t.miss_micro_per_1m, t.mod_num, t.mod_den)),
               ('output', u.output::numeric(38, 0), t.output_micro_per_1m, line_amount(u.output, t.output_micro_per_1m, t.mod_num, t.mod_den)),
               ('minimum_charge', 0::numeric(38, 0), 0::bigint, CASE WHEN t.has_minimum THEN u.amount
                  - line_amount(u.hit, t.hit_micro_per_1m, t.mod_num, t.mod_den) - line_amount(u.miss, t.miss_micro_per_1m, t.mod_num, t.mod_den)
                  - line_amount(u.output, t.output_micro_per_1m, t.mod_num, t.mod_den) ELSE 0 END)) AS m(meter, quantity, micro_per_1m, amount)
   WHERE m.quantity > 0 OR m.amount > 0;

-- What live events add up to, as usage_hourly shows it. Where a line is quantity x rate, so is the sum of lines: those are
-- added up before they are multiplied.
CREATE OR REPLACE VIEW live_hours AS
  WITH counted AS (
    SELECT date_trunc('hour', completed_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS hour, payer, route, tariff,
           sum(hit) AS hit, sum(miss) AS miss, sum(output) AS output
      FROM live_ratings
     WHERE tariff IN (SELECT id FROM usage_tariffs WHERE mod_num = 1 AND mod_den = 1 AND NOT has_minimum)
     GROUP BY 1, 2, 3, 4),
  lines AS (
    SELECT c.hour, c.payer, c.route, c.tariff, m.meter, m.quantity, m.quantity * m.micro_per_1m * 0.000000000001 AS amount
      FROM counted c
      JOIN usage_tariffs t ON t.id = c.tariff
     CROSS JOIN LATERAL (VALUES ('input_cache_hit', c.hit, t.hit_micro_per_1m), ('input_cache_miss', c.miss, t.miss_micro_per_1m),
                                ('output', c.output, t.output_micro_per_1m)) AS m(meter, quantity, micro_per_1m)
     WHERE m.quantity > 0
    UNION ALL
    SELECT hour, payer, route, tariff, meter, quantity, amount FROM live_lines
     WHERE tariff IN (SELECT id FROM usage_tariffs WHERE mod_num <> 1 OR mod_den <> 1 OR has_minimum))
  SELECT l.hour, p.tenant_id, p.project_id, p.api_key_id, r.model, r.region, r.pool, l.meter, t.band, w.currency,
         sum(l.quantity) AS quantity, sum(l.amount) AS amount
    FROM lines l
    JOIN usage_payers p ON p.id = l.payer
    JOIN usage_routes r ON r.id = l.route
    JOIN usage_tariffs t ON t.id = l.tariff
    JOIN wallets w ON w.id = p.wallet_id
   GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10;

-- Extra sums that came to nothing again are no line.
CREATE OR REPLACE VIEW usage_hourly AS
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
    JOIN usage_cells c ON c.id = h.cell
   WHERE h.quantity <> 0 OR h.amount <> 0;

-- As before (0016), its hours from live_lines.
CREATE OR REPLACE FUNCTION drop_usage_partition(partition text) RETURNS bigint LANGUAGE plpgsql AS $$
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
    SELECT first, u.hour, p.tenant_id, p.project_id, p.api_key_id, r.model, r.region, r.pool, u.meter, t.band, w.currency,
           sum(u.quantity), sum(u.amount)
      FROM live_lines u
      JOIN usage_payers p ON p.id = u.payer JOIN usage_routes r ON r.id = u.route JOIN usage_tariffs t ON t.id = u.tariff
      JOIN wallets w ON w.id = p.wallet_id
     WHERE u.event_id >= uuid_floor(first)
       AND u.event_id < uuid_floor((first AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC')
     GROUP BY 2, 3, 4, 5, 6, 7, 8, 9, 10, 11;
  DELETE FROM usage_reratings r USING going g WHERE r.event_id = g.id;
  EXECUTE format('ALTER TABLE usage_log DETACH PARTITION %I', partition);
  EXECUTE format('DROP TABLE %I', partition);
  RETURN dropped;
END $$;
