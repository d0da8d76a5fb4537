-- Each group forgets its own rows, oldest first.
drop index inbox_handled_at;
create index inbox_age on inbox (group_name, handled_at);
