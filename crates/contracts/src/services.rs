//! The names of the services: what their events carry as `service`, and whose stores projections are made from.

/// Employees, roles and sessions.
pub const USER_SERVICE: &str = "user-service";
/// Companies, headquarters, departments and positions.
pub const COMPANY_SERVICE: &str = "company-service";
/// Job postings, candidates, applications and interviews.
pub const RECRUITMENT_SERVICE: &str = "recruitment-service";
