-- Receipts that one commit of a gateway's journal signed together: one signature a group.

-- Which receipts each signature is of (base/receipt/signature_runs.h). Empty: one a receipt, as in every row until now.
ALTER TABLE receipt_batches ADD COLUMN signature_runs bytea NOT NULL DEFAULT '';
ALTER TABLE receipt_batches ALTER COLUMN signature_runs SET COMPRESSION lz4;

-- Of 0009: 64 bytes a receipt. PostgreSQL named it.
DO $$
DECLARE
  name text;
BEGIN
  SELECT conname INTO STRICT name FROM pg_constraint
   WHERE conrelid = 'receipt_batches'::regclass AND contype = 'c'
     AND pg_get_constraintdef(oid) LIKE '%octet_length(signatures)%';
  EXECUTE format('ALTER TABLE receipt_batches DROP CONSTRAINT %I', name);
END $$;
ALTER TABLE receipt_batches ADD CONSTRAINT receipt_batches_signatures CHECK (
  octet_length(signatures) % 64 = 0 AND octet_length(signatures) > 0
  AND octet_length(signatures) <= 64 * (last_seq - first_seq + 1)
  AND (octet_length(signature_runs) > 0 OR octet_length(signatures) = 64 * (last_seq - first_seq + 1)));
