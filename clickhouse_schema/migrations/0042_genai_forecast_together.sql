-- why: how a forecast's errors belong together, so that sums over its horizon can be drawn from its rows: the share of the
-- errors' variance that a whole future has in common (lasting), and the correlation of the rest from one step to the next.
-- rewrites data: no
ALTER TABLE otel.genai_forecast
    ADD COLUMN IF NOT EXISTS lasting Nullable(Float64) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS carried Nullable(Float64) CODEC(ZSTD(1))
