-- How long each lease lasts, so that one from a future that a clock was set back from is known as such.
alter table relay_cursors add column lasts_ms bigint not null default 10000;
