-- What accelerators cost, and what they were used for: the other half of a margin. Loaded from files; never changed.
CREATE TABLE cost_rates (
  region text NOT NULL,
  pool text NOT NULL,
  currency char(3) NOT NULL,
  effective tstzrange NOT NULL CHECK (lower_inc(effective) AND NOT upper_inc(effective) AND NOT isempty(effective)),
  micro_per_hour bigint NOT NULL CHECK (micro_per_hour >= 0),
  EXCLUDE USING gist (region WITH =, pool WITH =, currency WITH =, effective WITH &&)
);

-- Accelerators of a pool that stood for a model over whole hours; '' = for every model of the pool.
CREATE TABLE accelerator_use (
  region text NOT NULL,
  pool text NOT NULL,
  model text NOT NULL,
  during tstzrange NOT NULL CHECK (lower_inc(during) AND NOT upper_inc(during) AND NOT isempty(during)
                                   AND NOT lower_inf(during) AND NOT upper_inf(during)
                                   AND lower(during) = date_trunc('hour', lower(during), 'UTC')
                                   AND upper(during) = date_trunc('hour', upper(during), 'UTC')),
  accelerators_micro bigint NOT NULL CHECK (accelerators_micro >= 0),
  EXCLUDE USING gist (region WITH =, pool WITH =, model WITH =, during WITH &&)
);
CREATE INDEX accelerator_use_during ON accelerator_use USING gist (during);

CREATE TRIGGER cost_rates_append_only BEFORE UPDATE OR DELETE ON cost_rates
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER accelerator_use_append_only BEFORE UPDATE OR DELETE ON accelerator_use
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
