-- Costs are asked for by when they were reported; runs that report none pay nothing for this.
CREATE INDEX run_samples_usage ON run_samples (created_at) WHERE kind = 'usage';
