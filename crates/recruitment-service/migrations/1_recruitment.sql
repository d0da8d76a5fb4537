-- Departments and employees as the events of the other services tell of them.
create table departments (
    department_id bigint primary key,
    headquarter_id bigint not null,
    name text not null,
    is_active boolean not null
);

create table employees (
    employee_id bigint primary key,
    -- The full name; null where only the removal is known.
    name text,
    -- False once the employee has left or the record was removed.
    works_here boolean not null
);

create table job_postings (
    job_posting_id {{identity}},
    title text not null,
    -- The title as it is searched and sorted: in lower case.
    title_folded text not null,
    description text not null,
    requirements text not null,
    benefits text,
    salary_min text,
    salary_max text,
    vacancies bigint not null,
    -- How many were hired through it.
    filled bigint not null,
    application_deadline bigint not null,
    location text,
    employment_type text not null,
    experience_level text not null,
    skills text not null,
    department_id bigint not null,
    position_id bigint not null,
    hiring_manager_id bigint not null,
    notes text,
    status text not null,
    published_date bigint,
    is_active boolean not null,
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    deleted_at bigint
);

create index job_postings_department_id on job_postings (department_id);

create table candidates (
    candidate_id {{identity}},
    first_name text not null,
    last_name text not null,
    -- The full name in lower case.
    name_folded text not null,
    email text not null,
    -- The address as it is compared: in lower case.
    email_folded text not null,
    phone_number text not null,
    birth_date text,
    address text,
    resume_url text,
    linkedin_url text,
    github_url text,
    portfolio_url text,
    summary text,
    skills text not null,
    -- Every skill in lower case between separators, so that one is found as a whole.
    skills_folded text not null,
    years_of_experience bigint,
    source text,
    notes text,
    status text not null,
    is_active boolean not null,
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    deleted_at bigint
);

-- The address of somebody who was removed may be used again.
create unique index candidates_email_folded_key on candidates (email_folded) where deleted_at is null;

create table applications (
    application_id {{identity}},
    job_posting_id bigint not null references job_postings (job_posting_id),
    candidate_id bigint not null references candidates (candidate_id),
    cover_letter text,
    resume_url text,
    status text not null,
    applied_date bigint not null,
    reviewed_date bigint,
    reviewed_by bigint,
    review_notes text,
    score bigint,
    feedback text,
    rejection_reason text,
    withdrawal_reason text,
    offer_date bigint,
    offered_salary text,
    offer_expiry_date text,
    offer_status text,
    expected_start_date text,
    notes text,
    is_active boolean not null,
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null
);

create unique index applications_job_posting_id_candidate_id_key on applications (job_posting_id, candidate_id);
create index applications_candidate_id on applications (candidate_id);

create table interviews (
    interview_id {{identity}},
    application_id bigint not null references applications (application_id),
    interview_type text not null,
    scheduled_date bigint not null,
    duration_minutes bigint not null,
    location text,
    meeting_link text,
    -- The employees' numbers, each between commas, so that one is found as a whole.
    interviewers text not null,
    agenda text,
    status text not null,
    score bigint,
    result text,
    strengths text,
    improvements text,
    notes text,
    is_active boolean not null,
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null
);

create index interviews_application_id on interviews (application_id);
