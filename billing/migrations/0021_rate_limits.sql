-- Limits on rates: how many requests and tokens a tenant, project or key may use a minute and a day, and how many
-- requests at once. Billing keeps and publishes them; gateways count (in Redis: what may be forgotten).
ALTER TABLE changes DROP CONSTRAINT changes_kind_check;
ALTER TABLE changes ADD CONSTRAINT changes_kind_check CHECK (kind IN ('key', 'tenant', 'price', 'wallet', 'cap', 'limit'));

CREATE TABLE rate_limits (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants,
  scope text NOT NULL CHECK (scope IN ('tenant', 'project', 'key')),
  subject uuid NOT NULL,                                    -- nil: the tenant
  model text NOT NULL,                                      -- '': all models counted together
  requests_per_minute bigint NOT NULL CHECK (requests_per_minute >= 0),   -- 0, here and below: not limited
  tokens_per_minute bigint NOT NULL CHECK (tokens_per_minute >= 0),
  tokens_per_day bigint NOT NULL CHECK (tokens_per_day >= 0),
  concurrency bigint NOT NULL CHECK (concurrency >= 0),
  created_at timestamptz NOT NULL,
  removed_at timestamptz,
  CONSTRAINT rate_limits_limit_something
    CHECK (greatest(requests_per_minute, tokens_per_minute, tokens_per_day, concurrency) > 0)
);
CREATE UNIQUE INDEX rate_limits_in_force ON rate_limits (tenant_id, scope, subject, model) WHERE removed_at IS NULL;

CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON rate_limits FOR EACH ROW EXECUTE FUNCTION audit_row();
