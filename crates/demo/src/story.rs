//! The story: companies, employees, then jobs and applications, then the end of it.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use contracts::audit::Action;
use eventkit::transport::kafka::KafkaConfig;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::administrator::{Administrator, Left};
use crate::client::{Addresses, Client};
use crate::door::{Door, employee, random_password};
use crate::error::Error;
use crate::hiring::{self, Application};
use crate::invitations::Invitations;
use crate::ledger::{Ledger, Person};
use crate::people;
use crate::plan::Plan;

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
    administrator: Administrator,
    admin: Client,
}

impl Told {
    /// Removes the story's administrator, who is there until then.
    ///
    /// # Errors
    /// The user-service refuses, or is away for too long.
    pub async fn dismiss_administrator(&self) -> Result<Left, Error> {
        self.administrator.leave(Some(&self.admin), &self.ledger).await
    }

    /// The number of the story's administrator.
    pub fn administrator_id(&self) -> i64 {
        self.administrator.employee_id
    }
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
    password: String,
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

    fn door(&self) -> Door<'_> {
        Door {
            users: &self.story.addresses.users,
            invitations: &self.invitations,
            ledger: &self.ledger,
            password: &self.password,
        }
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

/// Tells the whole story. Its administrator is removed if it breaks off, and else by [`Told::dismiss_administrator`].
///
/// # Errors
/// A service refuses what it should not, or is away for too long.
pub async fn tell(story: Story) -> Result<Told, Error> {
    tell_until(story, std::future::pending()).await
}

/// Tells the whole story, or breaks it off at `stop`.
///
/// # Errors
/// As [`tell`]; and [`Error::Stopped`].
pub async fn tell_until(story: Story, stop: impl Future<Output = ()>) -> Result<Told, Error> {
    let mut stop = pin!(stop);
    let story = Story { plan: story.plan.sensible(), ..story };
    let run = Uuid::now_v7().simple().to_string();
    let requests = Arc::new(AtomicU64::new(0));
    let operator = Client::with_token(&run, "operator", story.operator_token.clone(), requests.clone());
    let invitations = Invitations::open(&story.kafka, story.now_ms);
    let (ledger, password, users) = (Ledger::default(), random_password(), story.addresses.users.clone());
    let door = Door { users: &users, invitations: &invitations, ledger: &ledger, password: &password };
    let (admin_id, email) = unless(stop.as_mut(), door.take_on(&operator, &run, "admin")).await?;
    let administrator = Administrator { operator: operator.clone(), users: users.clone(), employee_id: admin_id };
    let admin = match unless(stop.as_mut(), door.let_in(&operator, (admin_id, &email), Some("admin"))).await {
        Ok(admin) => admin,
        Err(error) => return Err(administrator.left_after(error, None, &ledger).await),
    };
    let stage = Stage { story, run, admin, admin_id, invitations, ledger, password, done: AtomicU64::new(0) };
    let acts = match unless(stop, acts(&stage)).await {
        Ok(acts) => acts,
        Err(error) => return Err(administrator.left_after(error, Some(&stage.admin), &stage.ledger).await),
    };
    stage.ledger.logged_in_more(admin_id, stage.admin.logins_more());
    let admin_token = stage.admin.token().await;
    let Stage { invitations, ledger, admin, .. } = stage;
    invitations.close().await?;
    let Acts { companies, hired, applications } = acts;
    let requests = requests.load(Ordering::Relaxed);
    Ok(Told { ledger, requests, companies, hired, applications, admin_token, administrator, admin })
}

/// What `work` answers, unless `stop` comes first.
async fn unless<T>(
    stop: Pin<&mut impl Future<Output = ()>>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        done = work => done,
        () = stop => Err(Error::Stopped),
    }
}

/// What everything between the beginning and the end comes to.
struct Acts {
    companies: Vec<Company>,
    hired: Vec<(i64, i64)>,
    applications: Vec<Application>,
}

async fn acts(stage: &Stage) -> Result<Acts, Error> {
    let mut companies = stage.each(stage.story.plan.companies, |number| found_company(stage, number)).await?;
    take_people_on(stage, &mut companies).await?;
    let managers = stage.each(companies.len(), |number| appoint_manager(stage, &companies[number])).await?;
    let jobs =
        stage.each(stage.story.plan.jobs, |number| hiring::post_job(stage, number, &companies, &managers)).await?;
    let count = stage.story.plan.applications;
    let applications = stage.each(count, |number| hiring::apply(stage, number, &jobs)).await?;
    let applications =
        stage.each(count, |number| hiring::review(stage, applications[number].clone(), &jobs, &managers)).await?;
    let hired = hiring::wait_for_the_hired(stage, &applications).await?;
    for (company, manager) in companies.iter().zip(&managers) {
        manager.log_out(&stage.story.addresses.users).await?;
        stage.ledger.user(company.manager_id, "user.logout");
        stage.ledger.logged_in_more(company.manager_id, manager.logins_more());
    }
    for company in &mut companies {
        let (leaver, _) = company.members.pop().expect("a company has three employees at least");
        stage.admin.delete(&stage.users(&format!("users/{leaver}"))).await?;
        stage.ledger.user(leaver, "user.deleted");
        stage.by_admin(format!("user-{leaver}"), Action::Delete);
    }
    Ok(Acts { companies, hired, applications })
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
    let (users, password) = (addresses.users.as_str(), random_password());
    let door = Door { users, invitations: &invitations, ledger: &Ledger::default(), password: &password };
    let (id, email) = door.take_on(&operator, &run, "nobody").await?;
    let client = door.let_in(&operator, (id, &email), None).await?;
    invitations.close().await?;
    Ok(client.token().await)
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
    stage.door().accept(&stage.admin, id).await?;
    let manager = stage.admin.get(&stage.users(&format!("users/{id}"))).await?;
    let email = manager.body["email"].as_str().unwrap_or_default().to_owned();
    stage.door().log_in(&stage.admin, id, &email).await
}
