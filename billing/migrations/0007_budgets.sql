-- Caps: limits on spending below the wallet, enforced in the same way as the wallet: what a gateway may spend of a
-- cap's period was taken out of the period before (leased), so spent + leased <= allowed whatever crashes.
ALTER TABLE changes DROP CONSTRAINT changes_kind_check;
ALTER TABLE changes ADD CONSTRAINT changes_kind_check CHECK (kind IN ('key', 'tenant', 'price', 'wallet', 'cap'));

CREATE TABLE caps (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants,
  scope text NOT NULL CHECK (scope IN ('tenant', 'project', 'key', 'user')),
  subject uuid NOT NULL,                                    -- nil: the tenant, or each end user by itself
  period text NOT NULL CHECK (period IN ('total', 'monthly', 'daily')),
  amount money12 NOT NULL CHECK (amount >= 0),
  created_at timestamptz NOT NULL,
  removed_at timestamptz
);
CREATE UNIQUE INDEX caps_in_force ON caps (tenant_id, scope, subject, period) WHERE removed_at IS NULL;

-- Made by the first lease of the period, in its transaction.
CREATE TABLE cap_periods (
  id uuid PRIMARY KEY,
  cap_id uuid NOT NULL REFERENCES caps,
  end_user uuid NOT NULL,                                   -- nil but for the cap of every end user
  starts_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  allowed money12 NOT NULL,                                 -- the limit; while more than a lowered one is out, that
  spent money12 NOT NULL DEFAULT 0 CHECK (spent >= 0),
  leased money12 NOT NULL DEFAULT 0 CHECK (leased >= 0),
  UNIQUE (cap_id, end_user, starts_at),
  CONSTRAINT cap_periods_never_overspent CHECK (spent + leased <= allowed)
) WITH (fillfactor = 50);

CREATE TABLE cap_leases (
  id uuid PRIMARY KEY,
  cap_period_id uuid NOT NULL REFERENCES cap_periods,
  gateway_id text NOT NULL,
  epoch bigint NOT NULL,
  amount money12 NOT NULL CHECK (amount >= 0),              -- granted less returned
  consumed money12 NOT NULL DEFAULT 0,
  state text NOT NULL CHECK (state IN ('open', 'closed')),
  expires_at timestamptz NOT NULL,
  UNIQUE (gateway_id, epoch, cap_period_id),
  FOREIGN KEY (gateway_id, epoch) REFERENCES epochs,
  CONSTRAINT cap_leases_never_overdrawn CHECK (consumed BETWEEN 0 AND amount)
) WITH (fillfactor = 50);
CREATE INDEX cap_leases_period ON cap_leases (cap_period_id) WHERE state = 'open';

-- Every grant and return once: the id is the caller's.
CREATE TABLE cap_lease_moves (
  id uuid PRIMARY KEY,
  cap_lease_id uuid NOT NULL REFERENCES cap_leases,
  kind text NOT NULL CHECK (kind IN ('grant', 'return')),
  amount money12 NOT NULL CHECK (amount >= 0)
);

-- Which leases of caps an event was charged to. Only for events that had any.
CREATE TABLE usage_caps (
  event_id uuid NOT NULL,                                   -- the request; in the same transaction as its usage
  cap_lease_id uuid NOT NULL REFERENCES cap_leases,
  PRIMARY KEY (event_id, cap_lease_id)
);
CREATE INDEX usage_caps_lease ON usage_caps (cap_lease_id);

-- The period that contains an instant, half-open, with the days and months of a zone. Where local midnight comes twice
-- the day begins at the second one; where it does not exist, at the jump.
CREATE FUNCTION cap_period(period text, instant timestamptz, tz text, OUT starts_at timestamptz, OUT ends_at timestamptz)
LANGUAGE plpgsql STABLE AS $$
DECLARE
  unit text := CASE period WHEN 'daily' THEN 'day' ELSE 'month' END;
  step interval := ('1 ' || unit)::interval;
  first_local timestamp;
BEGIN
  IF period = 'total' THEN
    starts_at := '-infinity';
    ends_at := 'infinity';
    RETURN;
  END IF;
  first_local := date_trunc(unit, instant AT TIME ZONE tz);
  IF first_local AT TIME ZONE tz > instant THEN
    first_local := first_local - step;
  END IF;
  starts_at := first_local AT TIME ZONE tz;
  ends_at := (first_local + step) AT TIME ZONE tz;
END $$;
