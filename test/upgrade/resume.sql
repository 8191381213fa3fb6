-- The job that stands still goes on where it was: every row is done once.
DELETE FROM customer WHERE id = 7;
SELECT job FROM orm_ext.batch_jobs WHERE state = 'failed' \gset
CALL orm_ext.batch_resume(:job);
SELECT state, rows_done, last_error FROM orm_ext.batch_jobs WHERE job = :job;
SELECT id, points FROM customer ORDER BY id;
