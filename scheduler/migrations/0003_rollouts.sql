-- A deployment's revisions. The columns of 0001 describe the stable one; `rollout` the one that is to take its place, with its
-- state (catalogue/rollout_json), '{}' while there is none; `previous` what a roll-back goes to, '{}' before the first edit.
-- version: two writers never undo each other; every write names the version it read.
ALTER TABLE deployments
  ADD COLUMN serves text NOT NULL DEFAULT '',
  ADD COLUMN drained boolean NOT NULL DEFAULT false,
  ADD COLUMN revision integer NOT NULL DEFAULT 1 CHECK (revision >= 1),
  ADD COLUMN revisions integer NOT NULL DEFAULT 1 CHECK (revisions >= revision),
  ADD COLUMN rollout jsonb NOT NULL DEFAULT '{}',
  ADD COLUMN previous jsonb NOT NULL DEFAULT '{}',
  ADD COLUMN version bigint NOT NULL DEFAULT 1;
