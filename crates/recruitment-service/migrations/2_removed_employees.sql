-- Employees again, with what tells somebody who has left, and may come back, from a record that was removed.
create table employees_anew (
    employee_id bigint primary key,
    -- The full name; null where only the removal is known.
    name text,
    -- False once the employee has left or the record was removed.
    works_here boolean not null,
    -- Final: an employee's number is not used again.
    is_removed boolean not null
);

-- Of those whose name is known it was not kept; a rebuild tells it.
insert into employees_anew (employee_id, name, works_here, is_removed)
select employee_id, name, works_here, name is null from employees;

drop table employees;
alter table employees_anew rename to employees;
