-- What people want to run. What runs is observed, never stored.
CREATE TABLE deployments (
  name text PRIMARY KEY,
  model text NOT NULL,
  variant text NOT NULL,
  region text NOT NULL,
  pool text NOT NULL,
  replicas integer NOT NULL CHECK (replicas BETWEEN 0 AND 64),
  threads integer NOT NULL CHECK (threads >= 0),
  sequences_max integer NOT NULL CHECK (sequences_max >= 0),
  options text[] NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
