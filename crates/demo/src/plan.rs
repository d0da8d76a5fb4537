//! How large the story is.

/// The size of the story, in entities of each kind. [`Plan::default`] is the smallest that has everything in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Companies, each with one headquarters and two departments.
    pub companies: usize,
    /// Employees in all; at least three a company are taken on: its manager, one who moves, one who is removed.
    pub employees: usize,
    /// Job postings in all; at least one.
    pub jobs: usize,
    /// Applications in all; at least three a job: one is hired, one rejected, one withdrawn.
    pub applications: usize,
    /// Requests under way at a time.
    pub concurrency: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self { companies: 1, employees: 3, jobs: 1, applications: 3, concurrency: 16 }
    }
}

impl Plan {
    /// The same plan with no number below what the story needs.
    #[must_use]
    pub fn sensible(self) -> Self {
        let companies = self.companies.max(1);
        let jobs = self.jobs.max(1);
        Self {
            companies,
            employees: self.employees.max(3 * companies),
            jobs,
            applications: self.applications.max(3 * jobs),
            concurrency: self.concurrency.max(1),
        }
    }
}
