-- Contracts, prompt tiers, minimum charges, working days, modifiers and allowances; and the re-rater: what an event costs
-- by these tables, PostgreSQL's own zone data and numeric arithmetic, computed without the library that rated it.
ALTER TABLE calendars ADD COLUMN is_workday boolean NOT NULL DEFAULT false;  -- false = a holiday; a working day counts as a Monday

ALTER TABLE price_versions
  ADD COLUMN tenant text NOT NULL DEFAULT '',               -- '' = everyone; else a tenant's id: its contract
  ADD COLUMN minimum_charge money12 NOT NULL DEFAULT 0 CHECK (minimum_charge >= 0),
  ADD COLUMN withdrawn_at timestamptz,
  DROP CONSTRAINT price_versions_model_currency_region_pool_effective_excl,
  ADD CONSTRAINT price_versions_one_at_a_time
    EXCLUDE USING gist (model WITH =, currency WITH =, region WITH =, pool WITH =, tenant WITH =, effective WITH &&)
    WHERE (status = 'published');

ALTER TABLE price_rates
  ADD COLUMN prompt_over bigint NOT NULL DEFAULT 0 CHECK (prompt_over >= 0),  -- of prompts longer than this
  DROP CONSTRAINT price_rates_pkey,
  ADD PRIMARY KEY (price_version, band, prompt_over, meter);

CREATE TABLE price_modifiers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL CHECK (name <> ''),
  num bigint NOT NULL CHECK (num BETWEEN 0 AND 10000),
  den bigint NOT NULL CHECK (den BETWEEN 1 AND 10000),
  tenant text NOT NULL DEFAULT '',                          -- '' = everyone
  model text NOT NULL DEFAULT '',                           -- '' = every model
  effective tstzrange NOT NULL CHECK (lower_inc(effective) AND NOT upper_inc(effective) AND NOT isempty(effective)),
  status text NOT NULL DEFAULT 'published' CHECK (status IN ('published', 'withdrawn')),
  published_at timestamptz NOT NULL DEFAULT now(),
  withdrawn_at timestamptz,
  CHECK (num <= 10 * den)
);

-- Tiers by the month's quantity and free quotas: billing/core/allowance.h.
CREATE TABLE allowance_plans (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL CHECK (name <> ''),
  kind text NOT NULL CHECK (kind IN ('graduated', 'volume', 'free_quota')),
  tenant text NOT NULL DEFAULT '',
  model text NOT NULL DEFAULT '',
  currency char(3) NOT NULL,
  meters text[] NOT NULL CHECK (cardinality(meters) > 0),
  free_tokens bigint NOT NULL DEFAULT 0 CHECK (free_tokens >= 0),
  effective tstzrange NOT NULL CHECK (lower_inc(effective) AND NOT upper_inc(effective) AND NOT isempty(effective)),
  CHECK ((kind = 'free_quota') = (free_tokens > 0))
);
CREATE TABLE allowance_tiers (
  plan bigint NOT NULL REFERENCES allowance_plans,
  over_tokens bigint NOT NULL CHECK (over_tokens >= 0),
  micro_per_1m bigint NOT NULL CHECK (micro_per_1m >= 0),
  PRIMARY KEY (plan, over_tokens)
);
-- The month's count of a plan for a wallet, on the tenant's calendar. Grows in the transaction that posts the usage.
CREATE TABLE allowance_counts (
  plan bigint NOT NULL REFERENCES allowance_plans,
  wallet_id uuid NOT NULL REFERENCES wallets,
  month text NOT NULL CHECK (month ~ '^[0-9]{4}-[0-9]{2}$'),
  counted bigint NOT NULL CHECK (counted >= 0),
  given money12 NOT NULL CHECK (given >= 0),
  PRIMARY KEY (plan, wallet_id, month)
) WITH (fillfactor = 50);

CREATE FUNCTION half_even(numerator numeric, denominator numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
  SELECT div(numerator, denominator)
    + CASE WHEN 2 * mod(numerator, denominator) > denominator
             OR 2 * mod(numerator, denominator) = denominator AND mod(div(numerator, denominator), 2) = 1
           THEN 1 ELSE 0 END
$$;
CREATE AGGREGATE product (numeric) (SFUNC = numeric_mul, STYPE = numeric, INITCOND = '1');

-- Whether a window is open at a wall-clock time of its zone.
CREATE FUNCTION window_is_open(local timestamp, opens time, closes time, days smallint[], holidays date[], workdays date[])
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(NOT o.day = ANY (holidays)
                  AND CASE WHEN o.day = ANY (workdays) THEN 1 ELSE extract(isodow FROM o.day)::smallint END = ANY (days), false)
    FROM (SELECT CASE WHEN opens = closes THEN local::date
                      WHEN opens < closes THEN CASE WHEN local::time >= opens AND local::time < closes THEN local::date END
                      WHEN local::time >= opens THEN local::date
                      WHEN local::time < closes THEN local::date - 1 END AS day) o
$$;

-- Every window of a version with all that decides it.
CREATE FUNCTION price_windows_of(version bigint DEFAULT NULL)
RETURNS TABLE (price_version bigint, band text, tz text, opens time, closes time, days smallint[], holidays date[], workdays date[])
LANGUAGE sql STABLE AS $$
  SELECT s.price_version, s.band, s.tz, time '00:00' + w.start_s * interval '1 second',
         CASE WHEN w.end_s = 86400 THEN time '24:00' ELSE time '00:00' + w.end_s * interval '1 second' END, s.days,
         ARRAY(SELECT c.day FROM calendars c WHERE c.id = s.calendar_id AND c.version = s.calendar_version AND NOT c.is_workday),
         ARRAY(SELECT c.day FROM calendars c WHERE c.id = s.calendar_id AND c.version = s.calendar_version AND c.is_workday)
    FROM price_schedules s JOIN price_windows w USING (price_version, band)
   WHERE NOT s.is_default AND (version IS NULL OR s.price_version = version)
$$;

CREATE OR REPLACE FUNCTION band_in_force(version bigint, instant timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT coalesce(
    (SELECT w.band FROM price_windows_of(version) w
      WHERE window_is_open(instant AT TIME ZONE w.tz, w.opens, w.closes, w.days, w.holidays, w.workdays) LIMIT 1),
    (SELECT band FROM price_schedules WHERE price_version = version AND is_default))
$$;

-- The version a request is priced by: the most specific one in force at the instant its own basis names, the earliest
-- deciding first.
CREATE FUNCTION price_version_of(model_of text, currency_of text, region_of text, pool_of text, tenant_of text,
                                 admitted timestamptz, started timestamptz, completed timestamptz)
RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT b.id
    FROM (SELECT DISTINCT ON (o.ord) o.ord, o.asked, v.id, v.basis,
                 v.effective @> CASE v.basis WHEN 'admitted_at' THEN admitted WHEN 'started_at' THEN started ELSE completed END
                   AS is_in_force
            FROM (VALUES (1, 'admitted_at', admitted), (2, 'started_at', started), (3, 'completed_at', completed))
                   AS o(ord, asked, instant)
            JOIN price_versions v ON v.status = 'published' AND v.model = model_of AND v.currency = currency_of
                  AND v.region IN ('', region_of) AND v.pool IN ('', pool_of) AND v.tenant IN ('', tenant_of)
                  AND v.effective @> o.instant
           ORDER BY o.ord, v.tenant = '', v.region = '', v.pool = '') b
   WHERE b.basis = b.asked OR (b.ord > 1 AND b.is_in_force)
   ORDER BY b.basis = b.asked DESC, CASE WHEN b.basis = b.asked THEN b.ord ELSE -b.ord END
   LIMIT 1
$$;

-- Rates every row of `source` (columns id, tenant_id, price_version, admitted_at, started_at, completed_at, clock_err_us,
-- hit, miss, output) with ids from `first` up to `last`, as one join over all of them: millions at a time. Rows whose
-- version is not in force within the error of the clock do not come back. Amounts in currency units, exact.
CREATE FUNCTION rerate(source regclass, first uuid DEFAULT '00000000-0000-0000-0000-000000000000',
                       last uuid DEFAULT 'ffffffff-ffff-ffff-ffff-ffffffffffff')
RETURNS TABLE (id uuid, price_version bigint, band text, priced_at timestamptz, prompt_over bigint, mod_num numeric,
               mod_den numeric, hit_micro bigint, miss_micro bigint, output_micro bigint, hit_amount numeric,
               miss_amount numeric, output_amount numeric, minimum_top_up numeric, amount numeric)
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN QUERY EXECUTE format($sql$
    WITH windows AS MATERIALIZED (SELECT * FROM price_windows_of()),
    defaults AS MATERIALIZED (SELECT s.price_version, s.band FROM price_schedules s WHERE s.is_default),
    rates AS MATERIALIZED (
      SELECT r.price_version, r.band, r.prompt_over,
             lead(r.prompt_over, 1, 9223372036854775807) OVER (PARTITION BY r.price_version, r.band ORDER BY r.prompt_over) AS up_to,
             max(r.micro_per_1m) FILTER (WHERE r.meter = 'input_cache_hit') AS hit,
             max(r.micro_per_1m) FILTER (WHERE r.meter = 'input_cache_miss') AS miss,
             max(r.micro_per_1m) FILTER (WHERE r.meter = 'output') AS output
        FROM price_rates r GROUP BY r.price_version, r.band, r.prompt_over),
    -- The instant as read, and both ends of the clock's error: the cheapest is charged.
    instants AS (
      SELECT e.id, e.tenant_id, e.price_version, e.hit, e.miss, e.output, v.model, v.minimum_charge, s.ord,
             b.instant + s.sign * e.clock_err_us * interval '1 microsecond' AS instant
        FROM %s e
        JOIN price_versions v ON v.id = e.price_version
       CROSS JOIN LATERAL (SELECT CASE v.basis WHEN 'completed_at' THEN e.completed_at WHEN 'started_at' THEN e.started_at
                                  ELSE e.admitted_at END AS instant) b
        JOIN (VALUES (1, 0), (2, -1), (3, 1)) AS s(ord, sign) ON s.sign = 0 OR e.clock_err_us > 0
       WHERE e.id BETWEEN $1 AND $2
         AND v.effective @> (b.instant + s.sign * e.clock_err_us * interval '1 microsecond')),
    banded AS (
      -- Spelled out, not window_is_open(): a call a row would cost ten times the rest.
      SELECT i.*, coalesce((
               SELECT w.band FROM windows w
                CROSS JOIN LATERAL (SELECT (i.instant AT TIME ZONE w.tz)::date AS day, (i.instant AT TIME ZONE w.tz)::time AS time OFFSET 0) l
                CROSS JOIN LATERAL (SELECT CASE WHEN w.opens = w.closes THEN l.day
                                                WHEN w.opens < w.closes THEN CASE WHEN l.time >= w.opens AND l.time < w.closes THEN l.day END
                                                WHEN l.time >= w.opens THEN l.day
                                                WHEN l.time < w.closes THEN l.day - 1 END AS day) o
                WHERE w.price_version = i.price_version AND o.day IS NOT NULL AND NOT o.day = ANY (w.holidays)
                  AND CASE WHEN o.day = ANY (w.workdays) THEN 1 ELSE extract(isodow FROM o.day)::smallint END = ANY (w.days)
                LIMIT 1), d.band) AS band
        FROM instants i
        LEFT JOIN defaults d ON d.price_version = i.price_version
      OFFSET 0),  -- a fence: joined first, every candidate rate would look for the band again
    priced AS (
      SELECT b.id, b.price_version, b.band, b.instant, b.ord, r.prompt_over, m.num, m.den, r.hit AS hit_micro,
             r.miss AS miss_micro, r.output AS output_micro, b.minimum_charge, b.hit + b.miss + b.output > 0 AS is_used,
             CASE WHEN m.den = 1 THEN b.hit::numeric * r.hit * m.num ELSE half_even(b.hit::numeric * r.hit * m.num, m.den) END AS hit_pico,
             CASE WHEN m.den = 1 THEN b.miss::numeric * r.miss * m.num ELSE half_even(b.miss::numeric * r.miss * m.num, m.den) END AS miss_pico,
             CASE WHEN m.den = 1 THEN b.output::numeric * r.output * m.num ELSE half_even(b.output::numeric * r.output * m.num, m.den) END AS output_pico
        FROM banded b
        JOIN rates r ON r.price_version = b.price_version AND r.band = b.band AND b.hit + b.miss <= r.up_to
             AND (b.hit + b.miss > r.prompt_over OR r.prompt_over = 0)
       CROSS JOIN LATERAL (SELECT product(p.num) AS num, product(p.den) AS den FROM price_modifiers p
                            WHERE p.status = 'published' AND p.effective @> b.instant
                              AND p.tenant IN ('', b.tenant_id::text) AND p.model IN ('', b.model)) m
      OFFSET 0),
    summed AS (
      SELECT p.*, p.hit_pico + p.miss_pico + p.output_pico AS pico,
             CASE WHEN p.is_used THEN greatest(p.minimum_charge * 1000000000000 - (p.hit_pico + p.miss_pico + p.output_pico), 0)
                  ELSE 0 END AS top_up
        FROM priced p)
    SELECT DISTINCT ON (s.id) s.id, s.price_version, s.band, s.instant, s.prompt_over, s.num / gcd(s.num, s.den),
           s.den / gcd(s.num, s.den), s.hit_micro, s.miss_micro, s.output_micro, round(s.hit_pico * 0.000000000001, 12),
           round(s.miss_pico * 0.000000000001, 12), round(s.output_pico * 0.000000000001, 12),
           round(s.top_up * 0.000000000001, 12), round((s.pico + s.top_up) * 0.000000000001, 12)
      FROM summed s
     ORDER BY s.id, s.pico + s.top_up, s.ord
  $sql$, source) USING first, last;
END $$;
