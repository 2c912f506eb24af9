-- Who changed what, when, from where: a log that can only grow, in the transaction of the change itself. The database
-- writes it, not the program: no change of these tables commits without its entry, whoever makes it and by whatever way.
-- Entries are leaves of a Merkle tree (RFC 6962); signed checkpoints of it show that nothing before was rewritten.

CREATE TABLE audit_entries (
  number bigint PRIMARY KEY CHECK (number >= 0),            -- its leaf: 0, 1, 2, ... without gaps
  at timestamptz NOT NULL,
  actor text NOT NULL,                                      -- 'admin/<public id of the key>' or 'unattributed/<db user>'
  origin text NOT NULL,                                     -- where the call came from; '' unknown
  changes text NOT NULL,                                    -- JSON: [{"table", "op", "before", "after"}]
  leaf bytea NOT NULL CHECK (octet_length(leaf) = 32)
);
CREATE TABLE audit_head (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), size bigint NOT NULL);
INSERT INTO audit_head (size) VALUES (0);
-- What the transaction under way has changed; empty again when it commits.
CREATE TABLE audit_pending (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tx xid8 NOT NULL,
  change jsonb NOT NULL
);
CREATE INDEX audit_pending_tx ON audit_pending (tx);
CREATE TABLE audit_checkpoints (
  size bigint PRIMARY KEY CHECK (size > 0),
  checkpoint bytea NOT NULL                                 -- signed: base/receipt/checkpoint.h, log 'audit'
);

CREATE FUNCTION audit_field(value bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
  SELECT int4send(octet_length(value)) || value
$$;
-- SHA-256(0x00 | "TGA1" | number | microseconds | actor | origin | changes), each behind its length (u32, big-endian).
CREATE FUNCTION audit_leaf(number bigint, at timestamptz, actor text, origin text, changes text) RETURNS bytea
  LANGUAGE sql IMMUTABLE AS $$
  SELECT sha256('\x00'::bytea || 'TGA1'::bytea || audit_field(int8send(number))
    || audit_field(int8send((extract(epoch FROM at) * 1000000)::bigint)) || audit_field(convert_to(actor, 'UTF8'))
    || audit_field(convert_to(origin, 'UTF8')) || audit_field(convert_to(changes, 'UTF8')))
$$;

-- The arguments are columns that are secrets: they never get here.
CREATE FUNCTION audit_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  before jsonb;
  after jsonb;
BEGIN
  IF TG_OP <> 'INSERT' THEN before := to_jsonb(OLD) - coalesce(TG_ARGV, '{}'); END IF;
  IF TG_OP <> 'DELETE' THEN after := to_jsonb(NEW) - coalesce(TG_ARGV, '{}'); END IF;
  IF before IS DISTINCT FROM after THEN
    INSERT INTO audit_pending (tx, change) VALUES (pg_current_xact_id(),
      jsonb_build_object('table', TG_TABLE_NAME, 'op', lower(TG_OP), 'before', before, 'after', after));
  END IF;
  RETURN NULL;
END $$;

-- At the commit: one entry for all that the transaction changed. A ledger transaction brings its entries along.
CREATE FUNCTION audit_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  what text;
  next bigint;
  moment timestamptz := clock_timestamp();
  who text := coalesce(nullif(current_setting('tidegate.actor', true), ''), 'unattributed/' || session_user);
  whence text := coalesce(current_setting('tidegate.origin', true), '');
BEGIN
  WITH mine AS (DELETE FROM audit_pending WHERE tx = pg_current_xact_id() RETURNING id, change)
  SELECT jsonb_agg(CASE WHEN change->>'table' = 'ledger_tx' THEN change || jsonb_build_object('entries', (
           SELECT jsonb_agg(jsonb_build_object('account', a.kind, 'currency', e.currency, 'amount', e.amount) ORDER BY e.line)
             FROM ledger_entries e JOIN ledger_accounts a ON a.id = e.account
            WHERE e.tx = (change->'after'->>'id')::uuid)) ELSE change END ORDER BY id)::text
    INTO what FROM mine;
  IF what IS NULL THEN RETURN NULL; END IF;                 -- an earlier row of this transaction has taken them all
  UPDATE audit_head SET size = size + 1 RETURNING size - 1 INTO next;
  INSERT INTO audit_entries (number, at, actor, origin, changes, leaf)
    VALUES (next, moment, who, whence, what, audit_leaf(next, moment, who, whence, what));
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER audit_pending_written AFTER INSERT ON audit_pending
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_commit();

CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON tenants FOR EACH ROW EXECUTE FUNCTION audit_row();
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON projects FOR EACH ROW EXECUTE FUNCTION audit_row();
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON api_keys FOR EACH ROW EXECUTE FUNCTION audit_row('mac');
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON price_versions FOR EACH ROW EXECUTE FUNCTION audit_row();
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON calendars FOR EACH ROW EXECUTE FUNCTION audit_row();
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON caps FOR EACH ROW EXECUTE FUNCTION audit_row();
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON receipt_keys FOR EACH ROW EXECUTE FUNCTION audit_row();
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON usage_retention FOR EACH ROW EXECUTE FUNCTION audit_row();
-- Usage moves balances all day and is in the ledger; what people set is the limit.
CREATE TRIGGER audited AFTER INSERT OR DELETE OR UPDATE OF credit_limit ON wallets
  FOR EACH ROW EXECUTE FUNCTION audit_row('balance', 'leased');
CREATE TRIGGER audited AFTER INSERT ON ledger_tx FOR EACH ROW WHEN (NEW.source_type <> 'usage_batch')
  EXECUTE FUNCTION audit_row();

CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE ON audit_entries
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_checkpoints_append_only BEFORE UPDATE OR DELETE ON audit_checkpoints
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
