-- How far the workers of a run are that share its slices between them; a run of one worker leaves it all as it is.

alter table sync_runs add column claimed_position integer not null default 0; -- up to here its workers have taken slices to judge
alter table sync_runs add column committed_position integer not null default 0; -- up to here they are judged: slices are recorded in this order
alter table sync_runs add column stopped_at timestamp; -- UTC; when one of its workers failed, so that the others stop; null before
