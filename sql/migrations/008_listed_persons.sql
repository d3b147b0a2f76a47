-- Of the persons a run has set out to read, how many it did not read, and why.

alter table run_persons add column attempt_count integer not null default 0; -- times the person had been decided when listed; a greater one since is a later decision

alter table sync_runs add column listed_count integer; -- persons it had set out to read; null before it was finished
alter table sync_runs add column taken_count integer not null default 0; -- of the listed: another run has claimed or decided them
alter table sync_runs add column unread_count integer not null default 0; -- of the listed: their rows changed or vanished before they were read or sent; whoever is still there is new
