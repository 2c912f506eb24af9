-- What limits a key beside its models, how it is replaced, and the keys of people with their roles.
ALTER TABLE api_keys
  ADD COLUMN scopes text[] NOT NULL DEFAULT '{}'            -- empty = inference: all but usage
    CHECK (scopes <@ ARRAY['chat', 'completions', 'embeddings', 'models', 'receipts', 'usage']),
  ADD COLUMN sources cidr[] NOT NULL DEFAULT '{}'           -- empty = anywhere
    CHECK (cardinality(sources) <= 32),
  ADD COLUMN replaced_by uuid UNIQUE REFERENCES api_keys,   -- the successor made by a rotation
  ADD CONSTRAINT api_keys_not_its_own_successor CHECK (replaced_by <> id);

CREATE TABLE admin_keys (
  id uuid PRIMARY KEY,
  public_id text NOT NULL UNIQUE,
  mac bytea NOT NULL UNIQUE CHECK (octet_length(mac) = 32), -- HMAC-SHA256(pepper, key text), as of api_keys
  name text NOT NULL,
  role text NOT NULL CHECK (role IN ('operator', 'owner', 'billing', 'developer', 'viewer')),
  tenant_id uuid REFERENCES tenants,                        -- null = every tenant
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  revoked_at timestamptz,
  CONSTRAINT admin_keys_operator_of_no_tenant CHECK (role <> 'operator' OR tenant_id IS NULL)
);
CREATE INDEX admin_keys_tenant ON admin_keys (tenant_id);
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON admin_keys FOR EACH ROW EXECUTE FUNCTION audit_row('mac');
