-- Where a tenant's requests may be served. Gateways refuse a model that no allowed region serves.
ALTER TABLE tenants
  ADD COLUMN regions text[] NOT NULL DEFAULT '{}'           -- empty = anywhere
    CHECK (cardinality(regions) <= 32);
