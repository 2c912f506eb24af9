-- Price versions as published; never changed but for an end that lies in the future.
CREATE TABLE price_state (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), revision bigint NOT NULL);
INSERT INTO price_state (revision) VALUES (0);

CREATE TABLE calendars (
  id text NOT NULL,
  version int NOT NULL,
  day date NOT NULL,
  PRIMARY KEY (id, version, day)
);

CREATE TABLE price_versions (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  book text NOT NULL,
  model text NOT NULL,
  currency char(3) NOT NULL,
  region text NOT NULL DEFAULT '',                          -- '' = every region
  pool text NOT NULL DEFAULT '',                            -- '' = every pool
  effective tstzrange NOT NULL CHECK (lower_inc(effective) AND NOT upper_inc(effective) AND NOT isempty(effective)),
  basis text NOT NULL CHECK (basis IN ('completed_at', 'admitted_at', 'started_at')),
  status text NOT NULL DEFAULT 'published' CHECK (status IN ('published', 'withdrawn')),
  sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
  published_at timestamptz NOT NULL DEFAULT now(),
  EXCLUDE USING gist (model WITH =, currency WITH =, region WITH =, pool WITH =, effective WITH &&)
    WHERE (status = 'published')
);

CREATE TABLE price_schedules (
  price_version bigint NOT NULL REFERENCES price_versions,
  ord int NOT NULL,
  band text NOT NULL,
  is_default boolean NOT NULL,
  tz text NOT NULL,
  days smallint[] NOT NULL,                                 -- 1 = Monday
  calendar_id text NOT NULL DEFAULT '',
  calendar_version int NOT NULL DEFAULT 0,
  PRIMARY KEY (price_version, band),
  UNIQUE (price_version, ord)
);

CREATE TABLE price_windows (
  price_version bigint NOT NULL,
  band text NOT NULL,
  ord int NOT NULL,
  start_s int NOT NULL CHECK (start_s BETWEEN 0 AND 86399),
  end_s int NOT NULL CHECK (end_s BETWEEN 0 AND 86400),
  PRIMARY KEY (price_version, band, ord),
  FOREIGN KEY (price_version, band) REFERENCES price_schedules
);

CREATE TABLE price_rates (
  price_version bigint NOT NULL,
  band text NOT NULL,
  meter text NOT NULL CHECK (meter IN ('input_cache_hit', 'input_cache_miss', 'output')),
  micro_per_1m bigint NOT NULL CHECK (micro_per_1m >= 0),
  PRIMARY KEY (price_version, band, meter),
  FOREIGN KEY (price_version, band) REFERENCES price_schedules
);

-- The band in force by PostgreSQL's own zone data and arithmetic: the second opinion of the reconcile job.
CREATE FUNCTION band_in_force(version bigint, instant timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT coalesce(
    (SELECT s.band
       FROM price_schedules s
       JOIN price_windows w USING (price_version, band)
      CROSS JOIN LATERAL (SELECT instant AT TIME ZONE s.tz AS local) l
      CROSS JOIN LATERAL (SELECT l.local::date AS today, extract(epoch FROM l.local::time) AS second) d
      CROSS JOIN LATERAL (SELECT CASE
          WHEN w.start_s = w.end_s THEN d.today
          WHEN w.start_s < w.end_s THEN CASE WHEN d.second >= w.start_s AND d.second < w.end_s THEN d.today END
          WHEN d.second >= w.start_s THEN d.today
          WHEN d.second < w.end_s THEN d.today - 1
        END AS opened_on) o
      WHERE s.price_version = version AND NOT s.is_default AND o.opened_on IS NOT NULL
        AND extract(isodow FROM o.opened_on)::smallint = ANY (s.days)
        AND NOT EXISTS (SELECT 1 FROM calendars c
                         WHERE c.id = s.calendar_id AND c.version = s.calendar_version AND c.day = o.opened_on)
      LIMIT 1),
    (SELECT band FROM price_schedules WHERE price_version = version AND is_default))
$$;
