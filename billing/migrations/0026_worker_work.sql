-- What a sequence took, beside what it is billed for. A worker that tells nothing of it, and each record until now: 0.
ALTER TABLE worker_records ADD COLUMN drafted bigint NOT NULL DEFAULT 0;    -- tokens guessed and checked
ALTER TABLE worker_records ADD COLUMN accepted bigint NOT NULL DEFAULT 0;   -- of them: were right
ALTER TABLE worker_records ADD COLUMN device_us bigint NOT NULL DEFAULT 0;  -- compute
ALTER TABLE worker_records ADD CONSTRAINT worker_records_work CHECK (accepted BETWEEN 0 AND drafted AND device_us >= 0);
