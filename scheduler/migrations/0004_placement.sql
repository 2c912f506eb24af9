-- Whether the scheduler chooses a deployment's region and pool, and among which (catalogue/placement_json); '{}': it does not, and they
-- stay as they are.
ALTER TABLE deployments ADD COLUMN placement jsonb NOT NULL DEFAULT '{}';
