-- Who may spend: tenants, projects, keys. Ids are UUIDv7 minted by billing.
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE DOMAIN money12 AS numeric(38, 12);

CREATE TABLE tenants (
  id uuid PRIMARY KEY,
  name text NOT NULL UNIQUE,
  billing_tz text NOT NULL,
  currency char(3) NOT NULL,
  is_suspended boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL
);

CREATE TABLE projects (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants,
  name text NOT NULL,
  created_at timestamptz NOT NULL,
  UNIQUE (tenant_id, name)
);

CREATE TABLE api_keys (
  id uuid PRIMARY KEY,
  project_id uuid NOT NULL REFERENCES projects,
  public_id text NOT NULL UNIQUE,
  mac bytea NOT NULL UNIQUE CHECK (octet_length(mac) = 32), -- HMAC-SHA256(pepper, key text): 190 random bits need no bcrypt
  name text NOT NULL,
  models text[] NOT NULL DEFAULT '{}',                      -- empty = all
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  revoked_at timestamptz
);
CREATE INDEX api_keys_project ON api_keys (project_id);

-- What gateways must hear of. `version` is handed out under the lock of change_clock, so versions become visible in
-- their own order and a reader that has seen n has missed nothing below n.
CREATE TABLE change_clock (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), version bigint NOT NULL);
INSERT INTO change_clock (version) VALUES (0);
CREATE TABLE changes (
  version bigint PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('key', 'tenant', 'price', 'wallet')),
  ref text NOT NULL,                                        -- the id of what changed
  changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: post a reversing entry', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;
