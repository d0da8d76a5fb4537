//! Employees, as far as they concern companies: who works where.

use contracts::user::{EmployeeStatus, UserCreated, UserUpdated};

/// What `user-events` told last of an employee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Employee {
    pub(crate) employee_id: i64,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) department_id: Option<i64>,
    pub(crate) position_id: Option<i64>,
    /// Whether the employee counts as one: has neither left nor been deleted.
    pub(crate) works_here: bool,
}

/// The key of an employee's events; also the lock of who leads what.
pub(crate) fn employee_key(employee_id: i64) -> String {
    format!("user-{employee_id}")
}

impl From<&UserCreated> for Employee {
    fn from(user: &UserCreated) -> Self {
        Self {
            employee_id: user.employee_id,
            first_name: user.first_name.clone(),
            last_name: user.last_name.clone(),
            department_id: user.department_id,
            position_id: user.position_id,
            works_here: user.status != EmployeeStatus::Left,
        }
    }
}

impl From<&UserUpdated> for Employee {
    fn from(user: &UserUpdated) -> Self {
        Self {
            employee_id: user.employee_id,
            first_name: user.first_name.clone(),
            last_name: user.last_name.clone(),
            department_id: user.department_id,
            position_id: user.position_id,
            works_here: user.status != EmployeeStatus::Left,
        }
    }
}
