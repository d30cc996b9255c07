-- why: what stood at a moment. Merges delete an entry together with its reversal, so the reversal says when the entry
-- it takes back was posted (NULL: not recorded yet then, or an entry itself).
-- rewrites data: no
ALTER TABLE otel.genai_ledger ADD COLUMN IF NOT EXISTS entered_at Nullable(DateTime64(3, 'UTC')) AFTER posted_at
