-- How many incidents of a kind there were in each slice of time, as far back as the threshold looks.
create table incident_counts (
    incident text not null,
    slice_start bigint not null,
    incidents bigint not null,
    primary key (incident, slice_start)
);

-- When administrators were last told of a kind; the row is locked by whoever counts.
create table incident_alerts (
    incident text primary key,
    told_at bigint
);
