-- What a daemon says of itself, for `piyasad status`: limits with their sources, stretch.
ALTER TABLE daemon ADD COLUMN report jsonb NOT NULL DEFAULT '{}';
