-- The tables that came after the audit log and that people change. Tables of work in progress (alerts, counts) are not audited.
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON issuers FOR EACH ROW EXECUTE FUNCTION audit_row();
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON billing_profiles FOR EACH ROW EXECUTE FUNCTION audit_row();
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON invoices FOR EACH ROW EXECUTE FUNCTION audit_row();
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON cost_rates FOR EACH ROW EXECUTE FUNCTION audit_row();
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON accelerator_use FOR EACH ROW EXECUTE FUNCTION audit_row();
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON price_modifiers FOR EACH ROW EXECUTE FUNCTION audit_row();
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON allowance_plans FOR EACH ROW EXECUTE FUNCTION audit_row();
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON allowance_tiers FOR EACH ROW EXECUTE FUNCTION audit_row();
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON webhooks FOR EACH ROW EXECUTE FUNCTION audit_row('secret');
-- Usage consumes grants all day and is in the ledger; what people do is give and void.
CREATE TRIGGER audited AFTER INSERT OR DELETE OR UPDATE OF voided_at, expires_at, amount ON grants
  FOR EACH ROW EXECUTE FUNCTION audit_row('consumed', 'lapsed');
-- A run is audited when it begins and ends, not at every step.
CREATE TRIGGER audited AFTER INSERT OR DELETE OR UPDATE OF finished_at ON rerate_runs
  FOR EACH ROW EXECUTE FUNCTION audit_row('cursor', 'scanned', 'changed', 'dearer', 'unpriced');
