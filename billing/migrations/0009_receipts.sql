-- Receipts as clients hold them, so that they can be handed out again for ever, and the trees that pin them down.

-- Who may sign and when. A key is its signer's alone and never comes back once it was retired.
CREATE TABLE receipt_keys (
  key_id text PRIMARY KEY,                                  -- first 16 hexadecimal digits of SHA-256(public_key)
  signer text NOT NULL,                                     -- 'gateway/<id>' or 'billing'
  deployment text NOT NULL,
  public_key bytea NOT NULL UNIQUE CHECK (octet_length(public_key) = 32),
  valid_from timestamptz NOT NULL,
  valid_to timestamptz CHECK (valid_to >= valid_from)       -- retired: another key signs since
);
CREATE UNIQUE INDEX receipt_keys_current ON receipt_keys (signer) WHERE valid_to IS NULL;

-- The link of the last receipt applied: what the next one must name.
ALTER TABLE epochs ADD COLUMN receipt_link bytea CHECK (octet_length(receipt_link) = 32);

-- One row a batch of usage: a row an event would cost more than the receipt. In `bodies` each body stands behind its
-- length (u16, big-endian) with `previous` zeroed: it follows from the body before, and random bytes do not compress.
CREATE TABLE receipt_batches (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,       -- the order of the leaves
  gateway_id text NOT NULL,
  epoch bigint NOT NULL,
  first_seq bigint NOT NULL CHECK (first_seq > 0),
  last_seq bigint NOT NULL CHECK (last_seq >= first_seq),
  key_id text NOT NULL REFERENCES receipt_keys,
  previous bytea NOT NULL CHECK (octet_length(previous) = 32), -- link before first_seq
  bodies bytea NOT NULL,
  signatures bytea NOT NULL CHECK (octet_length(signatures) = 64 * (last_seq - first_seq + 1)),
  FOREIGN KEY (gateway_id, epoch) REFERENCES epochs,
  UNIQUE (gateway_id, epoch, first_seq)
);
ALTER TABLE receipt_batches ALTER COLUMN bodies SET COMPRESSION lz4;
ALTER TABLE receipt_batches ALTER COLUMN signatures SET STORAGE EXTERNAL;

-- The tree of a day holds every receipt that had come when the day was cut and that no earlier tree holds: a receipt that
-- comes late is in a later day's tree.
CREATE TABLE receipt_cuts (
  day date PRIMARY KEY,                                     -- UTC
  through_batch bigint NOT NULL
);
CREATE TABLE receipt_days (
  day date PRIMARY KEY REFERENCES receipt_cuts,
  size bigint NOT NULL CHECK (size >= 0),
  checkpoint bytea NOT NULL                                 -- signed: base/receipt/checkpoint.h
);
-- The roots of 1,024 leaves each, and where those leaves begin: a proof reads one chunk, not a day.
CREATE TABLE receipt_chunks (
  day date NOT NULL REFERENCES receipt_days,
  chunk int NOT NULL,
  root bytea NOT NULL CHECK (octet_length(root) = 32),
  batch bigint NOT NULL,
  skip int NOT NULL,                                        -- receipts of that batch before the first leaf
  PRIMARY KEY (day, chunk)
);

CREATE TRIGGER receipt_batches_append_only BEFORE UPDATE OR DELETE ON receipt_batches
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER receipt_cuts_append_only BEFORE UPDATE OR DELETE ON receipt_cuts
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER receipt_days_append_only BEFORE UPDATE OR DELETE ON receipt_days
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER receipt_chunks_append_only BEFORE UPDATE OR DELETE ON receipt_chunks
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
