-- A run may be a human's word on a held person; SQLite, which cannot change a check, has a file of its own.

alter table sync_runs drop constraint sync_runs_run_mode_check;

alter table sync_runs add constraint sync_runs_run_mode_check
check (run_mode in ('live', 'plan', 'now', 'retry', 'resume', 'undo', 'resolve'));
