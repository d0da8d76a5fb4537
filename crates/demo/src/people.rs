//! Names and texts that look real; the same number always gives the same ones.

const FAMILY_NAMES: &[&str] = &[
    "Nguyen", "Tran", "Le", "Pham", "Hoang", "Phan", "Vu", "Vo", "Dang", "Bui", "Do", "Ho", "Ngo", "Duong", "Ly",
    "Dinh", "Mai", "Truong", "Lam", "Cao",
];
const GIVEN_NAMES: &[&str] = &[
    "An", "Binh", "Chi", "Dung", "Em", "Giang", "Hanh", "Hoa", "Hung", "Khanh", "Lan", "Linh", "Long", "Mai", "Minh",
    "Nam", "Nga", "Ngoc", "Phong", "Phuong", "Quan", "Quynh", "Son", "Tam", "Thanh", "Thao", "Thuy", "Trang", "Tuan",
    "Viet", "Xuan", "Yen",
];
const INDUSTRIES: &[&str] = &["software", "logistics", "banking", "retail", "manufacturing", "education"];
const CITIES: &[&str] = &["Hanoi", "Ho Chi Minh City", "Da Nang", "Hai Phong", "Can Tho", "Hue"];
const DEPARTMENTS: &[&str] = &["Engineering", "Sales"];
const JOBS: &[&str] = &[
    "Backend Engineer",
    "Data Engineer",
    "Product Designer",
    "Sales Executive",
    "Quality Engineer",
    "Site Reliability Engineer",
];
const SKILLS: &[&str] = &["rust", "sql", "kafka", "linux", "english", "negotiation", "figma", "testing"];

fn pick<'a>(from: &[&'a str], number: usize) -> &'a str {
    from[number % from.len()]
}

/// A person's given and family name.
pub(crate) fn name(number: usize) -> (&'static str, &'static str) {
    // The families change more slowly than the given names, so that all pairs come up.
    (pick(GIVEN_NAMES, number), pick(FAMILY_NAMES, number / GIVEN_NAMES.len() + number * 7))
}

pub(crate) fn industry(number: usize) -> &'static str {
    pick(INDUSTRIES, number)
}

pub(crate) fn city(number: usize) -> &'static str {
    pick(CITIES, number)
}

/// The names of a company's departments; no two companies share one.
pub(crate) fn departments(company: usize) -> Vec<String> {
    let place = city(company);
    DEPARTMENTS.iter().map(|name| format!("{name} {place} {}", company + 1)).collect()
}

pub(crate) fn job_title(number: usize) -> &'static str {
    pick(JOBS, number)
}

pub(crate) fn skills(number: usize) -> [&'static str; 3] {
    [pick(SKILLS, number), pick(SKILLS, number + 3), pick(SKILLS, number + 5)]
}

/// A telephone number of the right shape.
pub(crate) fn phone_number(number: usize) -> String {
    format!("+849{:08}", number % 100_000_000)
}
