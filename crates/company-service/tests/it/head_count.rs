//! Head counts follow from where each employee is now, in whatever way the events of different employees come, and
//! however often.

use chassis::both;
use chassis::testing::record;
use contracts::user::{EmployeeStatus, UserCreated, UserDeleted, UserUpdated};
use eventkit::transport::Record;

use crate::fixture::Fixture;

both!(
    Fixture:
    counts_follow_creation_move_leave_and_deletion,
    any_interleaving_of_redeliveries_gives_the_same_counts,
    a_creation_that_comes_late_changes_nothing_newer,
);

pub(crate) fn created(employee_id: i64, department_id: i64) -> UserCreated {
    UserCreated {
        employee_id,
        first_name: "An".to_owned(),
        last_name: "Tran".to_owned(),
        department_id: Some(department_id),
        ..UserCreated::default()
    }
}

pub(crate) fn updated(employee_id: i64, department_id: i64, status: EmployeeStatus) -> UserUpdated {
    UserUpdated {
        employee_id,
        email: String::new(),
        first_name: "Binh".to_owned(),
        last_name: "Tran".to_owned(),
        employee_code: None,
        phone_number: None,
        department_id: Some(department_id),
        position_id: None,
        status,
        changed: Vec::new(),
    }
}

fn deleted(employee_id: i64) -> UserDeleted {
    UserDeleted { employee_id, department_id: None }
}

async fn two_departments(fixture: &Fixture) -> (i64, i64) {
    let company_id = fixture.company().await;
    let headquarter_id = fixture.headquarters(company_id, "Main").await;
    (fixture.department(headquarter_id, "Kitchen").await, fixture.department(headquarter_id, "Garden").await)
}

async fn head_count(fixture: &Fixture, department_id: i64) -> i64 {
    fixture.get(&format!("/api/v1/departments/{department_id}")).await.ok()["headCount"].as_i64().unwrap()
}

async fn until_counts(fixture: &Fixture, departments: (i64, i64), counts: (i64, i64)) {
    for (department_id, count) in [(departments.0, counts.0), (departments.1, counts.1)] {
        let path = format!("/api/v1/departments/{department_id}");
        fixture.until(&path, &format!("{counts:?}"), |department| department["headCount"] == count).await;
    }
}

async fn counts_follow_creation_move_leave_and_deletion(fixture: &Fixture) {
    let both = two_departments(fixture).await;
    for employee_id in 1..=3 {
        fixture.deliver(&created(employee_id, both.0)).await;
    }
    until_counts(fixture, both, (3, 0)).await;
    fixture.deliver(&updated(1, both.1, EmployeeStatus::Active)).await;
    until_counts(fixture, both, (2, 1)).await;
    fixture.deliver(&updated(2, both.0, EmployeeStatus::Suspended)).await;
    fixture.deliver(&updated(3, both.0, EmployeeStatus::Left)).await;
    until_counts(fixture, both, (1, 1)).await;
    fixture.deliver(&updated(3, both.1, EmployeeStatus::Active)).await;
    until_counts(fixture, both, (1, 2)).await;
    fixture.deliver(&deleted(1)).await;
    until_counts(fixture, both, (1, 1)).await;
    fixture.deliver(&updated(1, both.1, EmployeeStatus::Active)).await;
    fixture.deliver(&deleted(99)).await;
    fixture.until_handled(10).await;
    until_counts(fixture, both, (1, 1)).await;
    let answer = fixture.delete(&format!("/api/v1/departments/{}", both.0)).await;
    assert_eq!(answer.status, 409);
    assert!(answer.body["detail"].as_str().unwrap().contains("employees: 1"), "{}", answer.body);
}

/// Numbers that are the same in every run: a seed names an interleaving.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

async fn any_interleaving_of_redeliveries_gives_the_same_counts(fixture: &Fixture) {
    const SEEDS: u64 = 8;
    let both = two_departments(fixture).await;
    let mut handled = 0;
    for seed in 1..=SEEDS {
        let first = i64::try_from(seed).unwrap() * 100;
        // Created, moved; created, left; created, moved, deleted; created and moved there and back.
        let lives: [Vec<Record>; 4] = [
            vec![record(&created(first, both.0)), record(&updated(first, both.1, EmployeeStatus::Active))],
            vec![record(&created(first + 1, both.0)), record(&updated(first + 1, both.0, EmployeeStatus::Left))],
            vec![
                record(&created(first + 2, both.0)),
                record(&updated(first + 2, both.1, EmployeeStatus::Active)),
                record(&deleted(first + 2)),
            ],
            vec![
                record(&created(first + 3, both.1)),
                record(&updated(first + 3, both.0, EmployeeStatus::Active)),
                record(&updated(first + 3, both.1, EmployeeStatus::Active)),
                record(&updated(first + 3, both.0, EmployeeStatus::Active)),
            ],
        ];
        let mut dice = Dice(seed);
        let mut told = [0_usize; 4];
        while (0..4).any(|life| told[life] < lives[life].len()) {
            let life = dice.roll(4);
            // What was told is told again from somewhere, as after a crash; then the next thing happens.
            let from = dice.roll(told[life] + 1);
            for again in &lives[life][from..told[life]] {
                fixture.redeliver(again).await;
            }
            if let Some(next) = lives[life].get(told[life]) {
                fixture.redeliver(next).await;
                told[life] += 1;
                handled += 1;
            }
        }
    }
    fixture.until_handled(handled).await;
    let seeds = i64::try_from(SEEDS).unwrap();
    until_counts(fixture, both, (seeds, seeds)).await;
    assert_eq!(fixture.count("inbox").await, handled, "each event had its effect once");
    assert_eq!(head_count(fixture, both.0).await, seeds);
}

async fn a_creation_that_comes_late_changes_nothing_newer(fixture: &Fixture) {
    let both = two_departments(fixture).await;
    fixture.deliver(&updated(1, both.1, EmployeeStatus::Active)).await;
    fixture.deliver(&deleted(2)).await;
    fixture.deliver(&created(1, both.0)).await;
    fixture.deliver(&created(2, both.0)).await;
    fixture.until_handled(4).await;
    until_counts(fixture, both, (0, 1)).await;
}
