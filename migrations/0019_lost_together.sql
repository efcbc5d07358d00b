-- Jobs that a worker was seen to lose. The leases of a process that ended run out at different moments, so the last of them
-- would look as if it had been alone there.
alter table carrel.worker add column lost_jobs integer not null default 0;
