-- why: advice on prompt caching says how many input tokens would have been read from the cache.
-- rewrites data: no
ALTER TABLE otel.genai_advice ADD COLUMN IF NOT EXISTS cached_tokens UInt64 AFTER unknown_calls
