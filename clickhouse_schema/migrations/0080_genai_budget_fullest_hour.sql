-- why: a burn that is told within minutes has to know what bursts are usual: what the fullest hour of a day cost on the
-- second fullest of the seven days before as_of (the fullest may have been an accident). NULL: less than a week is known.
-- rewrites data: no
ALTER TABLE otel.genai_budget ADD COLUMN IF NOT EXISTS fullest_hour_usd Nullable(Float64) CODEC(ZSTD(1)) AFTER burn_rate
