//! The story: companies, employees, then jobs and applications, then the end of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use contracts::audit::{Action, Actor};
use eventkit::transport::kafka::KafkaConfig;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Addresses, Client};
use crate::error::Error;
use crate::hiring::{self, Application};
use crate::invitations::Invitations;
use crate::ledger::{Ledger, Person};
use crate::people;
use crate::plan::Plan;

/// The password of everybody in the story.
const PASSWORD: &str = "correct horse battery staple";

/// Told how far the story is: entities done, entities in all.
pub type Progress = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// What the story needs to be told.
pub struct Story {
    /// Where the services are.
    pub addresses: Addresses,
    /// How to reach the topics.
    pub kafka: KafkaConfig,
    /// The operator token of the user-service.
    pub operator_token: String,
    /// When it begins, in milliseconds since 1970 by the broker's clock.
    pub now_ms: i64,
    /// How large it is.
    pub plan: Plan,
    /// Who wants to know how far it is.
    pub progress: Progress,
}

impl std::fmt::Debug for Story {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Story").field("addresses", &self.addresses).field("plan", &self.plan).finish_non_exhaustive()
    }
}

/// What the story came to.
#[derive(Debug)]
pub struct Told {
    /// What must be on the topics.
    pub ledger: Ledger,
    /// Requests that were answered.
    pub requests: u64,
    /// Companies and their departments, for comparison with projections.
    pub companies: Vec<Company>,
    /// Everybody who was hired, with the department that hired them.
    pub hired: Vec<(i64, i64)>,
    /// What happened to each application.
    pub applications: Vec<Application>,
    /// The administrator's access token, for looking at the end state.
    pub admin_token: String,
}

/// A company of the story.
#[derive(Debug, Clone)]
pub struct Company {
    /// Its number.
    pub company_id: i64,
    /// Its departments.
    pub department_ids: Vec<i64>,
    /// Their names, in the same order.
    pub department_names: Vec<String>,
    /// Its position.
    pub position_id: i64,
    /// The employee who leads its first department and decides whom it hires.
    pub manager_id: i64,
    /// Who works where at the end, without those who were hired in the story.
    pub members: Vec<(i64, i64)>,
}

/// What every scene of the story uses.
pub(crate) struct Stage {
    pub(crate) story: Story,
    pub(crate) run: String,
    pub(crate) admin: Client,
    pub(crate) admin_id: i64,
    pub(crate) invitations: Invitations,
    pub(crate) ledger: Ledger,
    done: AtomicU64,
}

impl Stage {
    pub(crate) fn users(&self, rest: &str) -> String {
        format!("{}/api/v1/{rest}", self.story.addresses.users)
    }

    pub(crate) fn companies(&self, rest: &str) -> String {
        format!("{}/api/v1/{rest}", self.story.addresses.companies)
    }

    pub(crate) fn recruitment(&self, rest: &str) -> String {
        format!("{}/api/v1/{rest}", self.story.addresses.recruitment)
    }

    /// Takes note of what the administrator did to an entity.
    pub(crate) fn by_admin(&self, entity: String, action: Action) {
        self.ledger.changed(entity, action, &employee(self.admin_id));
    }

    pub(crate) fn one_done(&self) {
        let plan = &self.story.plan;
        let all = plan.companies + plan.employees + plan.jobs + 2 * plan.applications;
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        (self.story.progress)(usize::try_from(done).unwrap_or(usize::MAX).min(all), all);
    }

    /// Runs `scene` for every number below `count`, several at a time; answers in the order of the numbers.
    pub(crate) async fn each<T, F>(&self, count: usize, scene: impl Fn(usize) -> F) -> Result<Vec<T>, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        stream::iter(0..count).map(scene).buffered(self.story.plan.concurrency).try_collect().await
    }
}

/// Tells the whole story.
///
/// # Errors
/// A service refuses what it should not, or is away for too long.
pub async fn tell(story: Story) -> Result<Told, Error> {
    let story = Story { plan: story.plan.sensible(), ..story };
    let run = Uuid::now_v7().simple().to_string();
    let requests = Arc::new(AtomicU64::new(0));
    let invitations = Invitations::open(&story.kafka, story.now_ms);
    let ledger = Ledger::default();
    let (admin_id, admin) = administrator(&story, &run, &invitations, &ledger, requests.clone()).await?;
    let stage = Stage { story, run, admin, admin_id, invitations, ledger, done: AtomicU64::new(0) };

    let mut companies = stage.each(stage.story.plan.companies, |number| found_company(&stage, number)).await?;
    take_people_on(&stage, &mut companies).await?;
    let managers = stage.each(companies.len(), |number| appoint_manager(&stage, &companies[number])).await?;
    let jobs =
        stage.each(stage.story.plan.jobs, |number| hiring::post_job(&stage, number, &companies, &managers)).await?;
    let count = stage.story.plan.applications;
    let applications = stage.each(count, |number| hiring::apply(&stage, number, &jobs)).await?;
    let applications =
        stage.each(count, |number| hiring::review(&stage, applications[number].clone(), &jobs, &managers)).await?;
    let hired = hiring::wait_for_the_hired(&stage, &applications).await?;
    for (company, manager) in companies.iter().zip(&managers) {
        manager.log_out(&stage.story.addresses.users).await?;
        stage.ledger.user(company.manager_id, "user.logout");
    }
    for company in &mut companies {
        let (leaver, _) = company.members.pop().expect("a company has three employees at least");
        stage.admin.delete(&stage.users(&format!("users/{leaver}"))).await?;
        stage.ledger.user(leaver, "user.deleted");
        stage.by_admin(format!("user-{leaver}"), Action::Delete);
    }
    let admin_token = stage.admin.token().await;
    let Stage { invitations, ledger, .. } = stage;
    invitations.close().await?;
    Ok(Told { ledger, requests: requests.load(Ordering::Relaxed), companies, hired, applications, admin_token })
}

/// Takes somebody on who gets no role, and logs them in; answers their access token.
///
/// # Errors
/// As [`tell`].
pub async fn log_in_without_roles(addresses: &Addresses, broker: &str, operator_token: &str) -> Result<String, Error> {
    let kafka = KafkaConfig { brokers: broker.to_owned(), ..KafkaConfig::default() };
    let run = Uuid::now_v7().simple().to_string();
    let invitations = Invitations::open(&kafka, 0);
    let operator = Client::with_token(&run, "operator", operator_token.to_owned(), Arc::default());
    let (_, client) = join(&operator, &addresses.users, &run, &invitations, &Ledger::default(), None).await?;
    invitations.close().await?;
    Ok(client.token().await)
}

/// Makes an administrator for this run: taken on by the operator, invited, active, logged in.
async fn administrator(
    story: &Story,
    run: &str,
    invitations: &Invitations,
    ledger: &Ledger,
    requests: Arc<AtomicU64>,
) -> Result<(i64, Client), Error> {
    let operator = Client::with_token(run, "operator", story.operator_token.clone(), requests);
    join(&operator, &story.addresses.users, run, invitations, ledger, Some("admin")).await
}

/// Takes one person on, with a role or without, and logs them in.
async fn join(
    operator: &Client,
    users: &str,
    run: &str,
    invitations: &Invitations,
    ledger: &Ledger,
    role: Option<&str>,
) -> Result<(i64, Client), Error> {
    let email = format!("{}-{run}@demo.example.com", role.unwrap_or("nobody"));
    let person = json!({"firstName": "Demo", "lastName": "Person", "email": email});
    let id = operator.post(&format!("{users}/api/v1/users"), person).await?.id("employeeId")?;
    let person = Person { first_name: "Demo".to_owned(), last_name: "Person".to_owned(), email: email.clone() };
    ledger.employed(id, person);
    ledger.user(id, "user.created");
    ledger.changed(format!("user-{id}"), Action::Create, &Actor::Operator);
    let roles: Vec<Value> = role.iter().map(|role| json!({"role": role, "scope": {"type": "all"}})).collect();
    operator.put(&format!("{users}/api/v1/users/{id}/roles"), Value::Array(roles)).await?;
    ledger.changed(format!("user-{id}"), Action::Update, &Actor::Operator);
    become_active(operator, users, invitations, ledger, id).await?;
    let client = operator.log_in(users, &email, PASSWORD).await?;
    ledger.user(id, "user.login");
    Ok((id, client))
}

/// As audit records name an employee.
pub(crate) fn employee(employee_id: i64) -> Actor {
    Actor::Employee { employee_id }
}

/// Accepts the invitation of an employee.
async fn become_active(
    client: &Client,
    users: &str,
    invitations: &Invitations,
    ledger: &Ledger,
    employee_id: i64,
) -> Result<(), Error> {
    let token = invitations.token(employee_id).await?;
    let key = format!("accept-{employee_id}");
    let body = json!({"token": token, "password": PASSWORD});
    client.post_as(&key, &format!("{users}/api/v1/invitations/accept"), body).await?;
    ledger.user(employee_id, "user.updated");
    ledger.changed(format!("user-{employee_id}"), Action::Update, &employee(employee_id));
    Ok(())
}

async fn found_company(stage: &Stage, number: usize) -> Result<Company, Error> {
    let admin = &stage.admin;
    let name = |what: &str| format!("{what}-{number}");
    let body = json!({
        "name": format!("{} Holding {number} {}", people::city(number), &stage.run[20..]),
        "industry": people::industry(number),
    });
    let company_id = admin.post_as(&name("company"), &stage.companies("companies"), body).await?.id("companyId")?;
    stage.ledger.company(company_id);
    stage.by_admin(format!("company-{company_id}"), Action::Create);
    let body = json!({
        "companyId": company_id, "name": "Main office", "address": "1 Dinh Tien Hoang",
        "phone": people::phone_number(number), "email": format!("office-{company_id}@demo.example.com"),
        "city": people::city(number),
    });
    let headquarters = stage.companies("headquarters");
    let headquarter_id = admin.post_as(&name("headquarters"), &headquarters, body).await?.id("headquarterId")?;
    stage.by_admin(format!("headquarter-{headquarter_id}"), Action::Create);
    let department_names = people::departments(number);
    let mut department_ids = Vec::new();
    for (index, department) in department_names.iter().enumerate() {
        let body = json!({"headquarterId": headquarter_id, "name": department});
        let key = format!("department-{number}-{index}");
        let id = admin.post_as(&key, &stage.companies("departments"), body).await?.id("departmentId")?;
        stage.ledger.department(id, "department.created");
        stage.by_admin(format!("department-{id}"), Action::Create);
        department_ids.push(id);
    }
    let body = json!({
        "name": people::job_title(number), "level": 3, "minSalary": "15000000", "maxSalary": "45000000",
    });
    let position_id = admin.post_as(&name("position"), &stage.companies("positions"), body).await?.id("positionId")?;
    stage.by_admin(format!("position-{position_id}"), Action::Create);
    stage.one_done();
    Ok(Company { company_id, department_ids, department_names, position_id, manager_id: 0, members: Vec::new() })
}

/// Takes everybody on. The first of a company is its manager; every third later one moves to the other department.
async fn take_people_on(stage: &Stage, companies: &mut [Company]) -> Result<(), Error> {
    let (count, companies_count) = (stage.story.plan.employees, companies.len());
    let hires = {
        let companies = &*companies;
        stage.each(count, |number| {
            take_on(stage, number, number / companies_count, &companies[number % companies_count])
        })
    };
    for (number, member) in hires.await?.into_iter().enumerate() {
        companies[number % companies_count].members.push(member);
    }
    for company in companies {
        company.manager_id = company.members[0].0;
    }
    Ok(())
}

async fn take_on(stage: &Stage, number: usize, place: usize, company: &Company) -> Result<(i64, i64), Error> {
    let (first_name, last_name) = people::name(number);
    let mut department_id = company.department_ids[place % company.department_ids.len()];
    let email = format!("{first_name}.{last_name}.{number}-{}@demo.example.com", &stage.run[20..]).to_lowercase();
    let body = json!({
        "firstName": first_name, "lastName": last_name, "phoneNumber": people::phone_number(number), "email": email,
        "departmentId": department_id, "positionId": company.position_id,
        "baseSalary": "20000000", "address": "36 Hang Bac", "birthDate": "1990-02-03",
    });
    let created = stage.admin.post_as(&format!("employee-{number}"), &stage.users("users"), body).await?;
    let id = created.id("employeeId")?;
    stage.ledger.employed(id, Person { first_name: first_name.to_owned(), last_name: last_name.to_owned(), email });
    stage.ledger.user(id, "user.created");
    stage.by_admin(format!("user-{id}"), Action::Create);
    if place % 3 == 1 {
        department_id = company.department_ids[(place + 1) % company.department_ids.len()];
        stage.admin.patch(&stage.users(&format!("users/{id}")), json!({"departmentId": department_id})).await?;
        stage.ledger.user(id, "user.updated");
        stage.by_admin(format!("user-{id}"), Action::Update);
    }
    stage.one_done();
    Ok((id, department_id))
}

/// Makes a company's first employee the leader of its first department, with the rights that go with it.
async fn appoint_manager(stage: &Stage, company: &Company) -> Result<Client, Error> {
    let id = company.manager_id;
    let department_id = company.department_ids[0];
    let leader = json!({"leaderId": id});
    stage.admin.patch(&stage.companies(&format!("departments/{department_id}")), leader).await?;
    stage.ledger.department(department_id, "department.updated");
    stage.by_admin(format!("department-{department_id}"), Action::Update);
    let scope: Value = json!({"type": "department", "departmentId": department_id});
    let roles = json!([{"role": "manager", "scope": scope}, {"role": "employee", "scope": {"type": "all"}}]);
    stage.admin.put(&stage.users(&format!("users/{id}/roles")), roles).await?;
    stage.by_admin(format!("user-{id}"), Action::Update);
    let users = &stage.story.addresses.users;
    become_active(&stage.admin, users, &stage.invitations, &stage.ledger, id).await?;
    let manager = stage.admin.get(&stage.users(&format!("users/{id}"))).await?;
    let email = manager.body["email"].as_str().unwrap_or_default().to_owned();
    let client = stage.admin.log_in(users, &email, PASSWORD).await?;
    stage.ledger.user(id, "user.login");
    Ok(client)
}
