-- Departments again, without the time at which they were told: events of one department come in order, and the last that
-- came counts, whatever the clock of who told it said.
create table departments_anew (
    department_id bigint primary key,
    headquarter_id bigint not null,
    name text not null,
    is_active boolean not null
);

insert into departments_anew (department_id, headquarter_id, name, is_active)
select department_id, headquarter_id, name, is_active from departments;

drop table departments;
alter table departments_anew rename to departments;
create index departments_headquarter_id on departments (headquarter_id);
