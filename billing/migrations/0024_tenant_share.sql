-- What a tenant is worth in the gateways' queues: its weight against other tenants, and the best tier its keys may ask for.
ALTER TABLE tenants ADD COLUMN queue_weight bigint NOT NULL DEFAULT 1 CHECK (queue_weight BETWEEN 1 AND 1000);
ALTER TABLE tenants ADD COLUMN tier_max text NOT NULL DEFAULT 'default' CHECK (tier_max IN ('flex', 'default', 'priority'));
