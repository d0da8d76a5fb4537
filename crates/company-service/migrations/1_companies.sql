-- What was removed keeps its row, with deleted_at; uniqueness counts among what is there.
-- Columns that end in _folded hold lower case, for searching, sorting and comparing.

create table companies (
    company_id {{identity}},
    name text not null,
    name_folded text not null,
    tax_code text,
    tax_code_folded text,
    industry text,
    industry_folded text,
    website text,
    notes text,
    is_active boolean not null,
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    deleted_at bigint
);

create table headquarters (
    headquarter_id {{identity}},
    company_id bigint not null references companies (company_id),
    name text not null,
    name_folded text not null,
    address text not null,
    phone text not null,
    email text not null,
    city text not null,
    city_folded text not null,
    postal_code text,
    description text,
    is_main boolean not null,
    notes text,
    is_active boolean not null,
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    deleted_at bigint
);

create unique index headquarters_company_id_name_folded_key on headquarters (company_id, name_folded)
    where deleted_at is null;
create unique index headquarters_main_key on headquarters (company_id) where is_main and deleted_at is null;

create table department_types (
    department_type_id {{identity}},
    name text not null,
    name_folded text not null,
    code text,
    code_folded text,
    category text,
    category_folded text,
    sort_order bigint not null,
    notes text,
    is_active boolean not null,
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    deleted_at bigint
);

create unique index department_types_name_folded_key on department_types (name_folded) where deleted_at is null;

create table position_types (
    position_type_id {{identity}},
    name text not null,
    name_folded text not null,
    code text,
    code_folded text,
    category text,
    category_folded text,
    sort_order bigint not null,
    notes text,
    is_active boolean not null,
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    deleted_at bigint
);

create unique index position_types_name_folded_key on position_types (name_folded) where deleted_at is null;

create table departments (
    department_id {{identity}},
    headquarter_id bigint not null references headquarters (headquarter_id),
    department_type_id bigint references department_types (department_type_id),
    name text not null,
    name_folded text not null,
    code text,
    code_folded text,
    description text,
    budget text,
    leader_id bigint,
    notes text,
    is_active boolean not null,
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    deleted_at bigint
);

create index departments_headquarter_id on departments (headquarter_id);
create index departments_department_type_id on departments (department_type_id);
create index departments_leader_id on departments (leader_id);

create table positions (
    position_id {{identity}},
    position_type_id bigint references position_types (position_type_id),
    name text not null,
    name_folded text not null,
    code text,
    code_folded text,
    level bigint not null,
    min_salary text,
    max_salary text,
    requirements text,
    notes text,
    is_active boolean not null,
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    deleted_at bigint
);

create index positions_position_type_id on positions (position_type_id);

-- What user-events tell of employees. Head counts are counted over these rows.
create table employees (
    employee_id bigint primary key,
    first_name text not null,
    last_name text not null,
    department_id bigint,
    position_id bigint,
    works_here boolean not null,
    -- Final: an employee's number is not used again.
    is_deleted boolean not null
);

create index employees_department_id on employees (department_id);
create index employees_position_id on employees (position_id);
