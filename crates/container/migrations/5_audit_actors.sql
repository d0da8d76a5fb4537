-- Who did it, for finding records; it repeats what the chained envelope says, and verifying compares the two.
alter table audit_records add column actor text not null default '';

update audit_records set actor = 'operator' where envelope like '%"actor":{"type":"operator"}%';

create index audit_records_actor on audit_records (actor, sequence);
create index audit_records_occurred_at on audit_records (occurred_at, sequence);
