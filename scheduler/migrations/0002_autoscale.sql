-- How many replicas a deployment may have, as the scheduler writes it (catalogue/autoscale_json). '{}': scaling is off.
ALTER TABLE deployments ADD COLUMN autoscale jsonb NOT NULL DEFAULT '{}';
