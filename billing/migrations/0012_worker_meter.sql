-- What workers say each sequence cost, told past the gateways: the second opinion of invariant I13.
CREATE TABLE worker_lives (
  worker_id text PRIMARY KEY,                               -- a life of a worker process
  applied_through bigint NOT NULL DEFAULT 0,
  covered_until timestamptz NOT NULL DEFAULT '-infinity',   -- all it finished before is below
  is_ended boolean NOT NULL DEFAULT false,
  seen_at timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE worker_records (
  worker_id text NOT NULL,
  number bigint NOT NULL,
  request_id uuid NOT NULL,
  finished_at timestamptz NOT NULL,
  finish text NOT NULL CHECK (finish IN ('stop', 'length', 'cancelled', 'error')),
  prompt bigint NOT NULL,
  cached bigint NOT NULL,
  completion bigint NOT NULL,
  reasoning bigint NOT NULL,
  PRIMARY KEY (worker_id, number),
  CHECK (cached BETWEEN 0 AND prompt AND reasoning BETWEEN 0 AND completion)
);
-- The records come in the order of time, so a few pages of summaries find the old ones.
CREATE INDEX worker_records_finished ON worker_records USING brin (finished_at);

-- Records of sequences that ended before this are gone; usage from before is not held against them.
CREATE TABLE worker_records_kept (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  kept_from timestamptz NOT NULL
);
INSERT INTO worker_records_kept (kept_from) VALUES ('-infinity');
