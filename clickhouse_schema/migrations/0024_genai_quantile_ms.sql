-- why: a quantile, in milliseconds, of a merged histogram: genai_quantile_ms(sumMap(duration_buckets), 0.95). It is
-- the middle of the bucket that holds it, so it is at most 4.5 % off. NULL when there is nothing to measure. A
-- function belongs to the server, not to the database.
-- rewrites data: no
CREATE OR REPLACE FUNCTION genai_quantile_ms AS (buckets, level) -> if(
    arraySum(mapValues(buckets)) <= 0,
    NULL,
    exp2((arrayElement(
        mapKeys(mapSort(buckets)),
        arrayFirstIndex(
            upto -> upto >= greatest(level * arraySum(mapValues(buckets)), 1), arrayCumSum(mapValues(mapSort(buckets)))
        )
    ) + 0.5) / 8) / 1000
)
