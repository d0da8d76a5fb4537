//! A hired candidate becomes an employee, once per application.

use chassis::rules::telephone;
use chassis::store::audit;
use contracts::audit::digest;
use contracts::recruitment::ApplicationReviewed;
use eventkit::UnitOfWork;

use super::{Service, own_actor};
use crate::domain::employee::key;
use crate::domain::role::BEGINNER;
use crate::domain::{Employee, EmployeeFields, Status};
use crate::error::Error;
use crate::store;

impl Service {
    /// Prepares the employee that a hired candidate becomes.
    ///
    /// Whose address belongs to an employee already keeps that record; only one who does not work here (yet) gets the
    /// new department and position. Who has left is invited again.
    pub(crate) async fn prepare_hired(&self, work: &mut UnitOfWork, hired: &ApplicationReviewed) -> Result<(), Error> {
        if !store::departments::claim_hired(work, hired.application_id).await? {
            return Ok(());
        }
        let (employee_id, outcome) = match store::employees::id_by_email(work, &hired.candidate.email).await? {
            None => {
                let employee = self.add(work, own_actor(), &fields_of(hired), Status::Invited, None).await?;
                self.invite(work, &employee).await?;
                (employee.employee_id, "created")
            }
            Some(employee_id) => (employee_id, self.place_known(work, employee_id, hired).await?),
        };
        store::departments::record_hired(work, hired.application_id, employee_id, outcome).await?;
        Ok(())
    }

    async fn place_known(
        &self,
        work: &mut UnitOfWork,
        employee_id: i64,
        hired: &ApplicationReviewed,
    ) -> Result<&'static str, Error> {
        work.lock_entity(&key(employee_id)).await?;
        let before = store::employees::find(&mut *work, employee_id).await?;
        let (department, position) = (Some(hired.department_id), Some(hired.position_id));
        let is_there = before.department_id == department && before.position_id == position;
        let is_back = before.status == Status::Left;
        if before.status == Status::Active || is_there && !is_back {
            // Nothing changes, and that is told: the trail shows why a hired candidate brought nobody new.
            let state = Some(before.digest());
            audit(work, own_actor(), before.key(), state.clone(), state).await?;
            return Ok("unchanged");
        }
        let mut fields = before.fields();
        (fields.department_id, fields.position_id) = (department, position);
        if !is_back {
            self.change(work, own_actor(), &before, &fields, before.status).await?;
            return Ok("updated");
        }
        if hired.expected_start_date.is_some() {
            (fields.start_date, fields.confirmation_date) = (hired.expected_start_date, None);
        }
        let after = self.change(work, own_actor(), &before, &fields, Status::Invited).await?.employee;
        take_roles(work, &after).await?;
        self.invite(work, &after).await?;
        Ok("invited again")
    }
}

/// Leaves the role that everybody begins with: nobody decided that who comes back may do what they could.
async fn take_roles(work: &mut UnitOfWork, employee: &Employee) -> Result<(), Error> {
    let id = employee.employee_id;
    let before = store::roles::assigned_to(work, id).await?;
    store::roles::assign(work, id, &[]).await?;
    store::roles::assign_first(work, id, BEGINNER).await?;
    let after = store::roles::assigned_to(work, id).await?;
    Ok(audit(work, own_actor(), employee.key(), Some(digest(&before)), Some(digest(&after))).await?)
}

fn fields_of(hired: &ApplicationReviewed) -> EmployeeFields {
    let candidate = hired.candidate.clone();
    EmployeeFields {
        // What is no telephone number here would keep every later change of the record from fitting.
        phone_number: candidate.phone_number.filter(|number| telephone(number, &()).is_ok()),
        start_date: hired.expected_start_date,
        department_id: Some(hired.department_id),
        position_id: Some(hired.position_id),
        ..EmployeeFields::named(candidate.first_name, candidate.last_name, candidate.email)
    }
}
