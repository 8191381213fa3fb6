-- What pg_upgrade takes along and pg_dump does not: jobs, and the transactions that tell deletions
-- apart where the marker is boolean.
SELECT 'job', job, kind, target, state, rows_done, batches, last_error FROM orm_ext.batch_jobs ORDER BY job;
SELECT 'deletions', d::text FROM orm_ext.deletions AS d WHERE deleted_at IS NULL ORDER BY 2;
