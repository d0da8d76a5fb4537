//! The one table of who is told what: a line for each kind of news and each audience.
//!
//! A rule is data; [`super::Router`] reads it. Names of fields are those of the event's JSON, dots lead inwards.

use eventkit::RecipientType;

use crate::notify::Channel;

/// Who is told what, when something happens.
#[derive(Debug)]
pub(crate) struct Rule {
    /// The rule's name, which never changes: the ids of its notifications follow from it.
    pub(crate) name: &'static str,
    /// The type of the events that it is about.
    pub(crate) event: &'static str,
    /// Which of them.
    pub(crate) when: When,
    /// Who is told.
    pub(crate) audience: Audience,
    /// How.
    pub(crate) channel: Channel,
    /// The template that makes the text.
    pub(crate) template: &'static str,
    /// The subject of a mail or the title of a push, as a template over the variables.
    pub(crate) subject: &'static str,
    /// What the template is filled with.
    pub(crate) variables: &'static [(&'static str, Source)],
}

/// A condition on an event.
#[derive(Debug)]
pub(crate) enum When {
    /// Every one.
    Always,
    /// The field is true.
    IsTrue(&'static str),
    /// The field is there.
    IsSet(&'static str),
    /// The field is this text.
    Is(&'static str, &'static str),
    /// The list has this text, and the field of that name is there.
    ListsSet(&'static str, &'static str),
    /// There were too many incidents of this kind lately, and nobody was told yet.
    TooMany,
}

/// Who is told.
#[derive(Debug)]
pub(crate) enum Audience {
    /// Somebody whose number and address the event carries.
    Named {
        /// What kind of person.
        kind: RecipientType,
        /// The field with the number.
        id: &'static str,
        /// The field with the address.
        email: &'static str,
    },
    /// The employee whose number is in the field.
    Employee(&'static str),
    /// Whoever leads the department in one field, unless that is the employee in the other.
    DepartmentLeader {
        /// The field with the department's number.
        department: &'static str,
        /// The field with the number of the employee who need not be told.
        other_than: &'static str,
    },
    /// The addresses that the configuration names.
    Administrators,
}

impl Audience {
    /// Whether it takes the directory to find them; if not, the event alone is enough.
    pub(crate) fn is_looked_up(&self) -> bool {
        matches!(self, Self::Employee(_) | Self::DepartmentLeader { .. })
    }
}

/// Where a variable comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A field of the event; nothing where the event lacks it.
    Event(&'static str),
    /// When it happened.
    Time,
    /// The given name of whoever is told.
    RecipientFirstName,
    /// The name of the department that the audience leads.
    DepartmentName,
    /// How many incidents there were.
    Incidents,
    /// Over how many minutes they are counted.
    WindowMinutes,
}

const CANDIDATE: Audience =
    Audience::Named { kind: RecipientType::Candidate, id: "candidate.candidateId", email: "candidate.email" };

const LEADER: Audience = Audience::DepartmentLeader { department: "departmentId", other_than: "employeeId" };

const CANDIDATE_VARIABLES: &[(&str, Source)] = &[
    ("firstName", Source::Event("candidate.firstName")),
    ("lastName", Source::Event("candidate.lastName")),
    ("jobTitle", Source::Event("jobTitle")),
    ("expectedStartDate", Source::Event("expectedStartDate")),
];

const MEMBER_VARIABLES: &[(&str, Source)] = &[
    ("firstName", Source::RecipientFirstName),
    ("memberFirstName", Source::Event("firstName")),
    ("memberLastName", Source::Event("lastName")),
    ("departmentName", Source::DepartmentName),
];

/// A candidate is told that the application has come to this status.
const fn candidate_told(
    status: &'static str,
    name: &'static str,
    template: &'static str,
    subject: &'static str,
) -> Rule {
    Rule {
        name,
        event: "application.reviewed",
        when: When::Is("to", status),
        audience: CANDIDATE,
        channel: Channel::Email,
        template,
        subject,
        variables: CANDIDATE_VARIABLES,
    }
}

/// Every rule.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "employee-welcome",
        event: "user.created",
        when: When::Always,
        audience: Audience::Named { kind: RecipientType::Employee, id: "employeeId", email: "email" },
        channel: Channel::Email,
        template: "user-welcome",
        subject: "Welcome to TechLeet",
        variables: &[
            ("firstName", Source::Event("firstName")),
            ("lastName", Source::Event("lastName")),
            ("employeeId", Source::Event("employeeId")),
        ],
    },
    Rule {
        name: "employee-new-device",
        event: "user.login",
        when: When::IsTrue("newDevice"),
        audience: Audience::Employee("employeeId"),
        channel: Channel::Email,
        template: "login-new-device",
        subject: "A login from a new device",
        variables: &[
            ("firstName", Source::RecipientFirstName),
            ("time", Source::Time),
            ("ipAddress", Source::Event("ipAddress")),
            ("userAgent", Source::Event("userAgent")),
        ],
    },
    Rule {
        name: "leader-new-member",
        event: "user.created",
        when: When::IsSet("departmentId"),
        audience: LEADER,
        channel: Channel::Email,
        template: "department-new-member",
        subject: "New in {{ departmentName }}: {{ memberFirstName }} {{ memberLastName }}",
        variables: MEMBER_VARIABLES,
    },
    Rule {
        name: "leader-moved-member",
        event: "user.updated",
        when: When::ListsSet("changed", "departmentId"),
        audience: LEADER,
        channel: Channel::Email,
        template: "department-new-member",
        subject: "New in {{ departmentName }}: {{ memberFirstName }} {{ memberLastName }}",
        variables: MEMBER_VARIABLES,
    },
    Rule {
        name: "candidate-received",
        event: "application.submitted",
        when: When::Always,
        audience: CANDIDATE,
        channel: Channel::Email,
        template: "application-received",
        subject: "We have your application: {{ jobTitle }}",
        variables: CANDIDATE_VARIABLES,
    },
    Rule {
        name: "manager-received",
        event: "application.submitted",
        when: When::Always,
        audience: Audience::Employee("hiringManagerId"),
        channel: Channel::Email,
        template: "application-for-manager",
        subject: "A new application: {{ jobTitle }}",
        variables: &[
            ("firstName", Source::RecipientFirstName),
            ("jobTitle", Source::Event("jobTitle")),
            ("candidateFirstName", Source::Event("candidate.firstName")),
            ("candidateLastName", Source::Event("candidate.lastName")),
            ("applicationId", Source::Event("applicationId")),
        ],
    },
    candidate_told("screening", "candidate-screening", "application-screening", "Your application: {{ jobTitle }}"),
    candidate_told(
        "interviewing",
        "candidate-interviewing",
        "application-interviewing",
        "We would like to meet you: {{ jobTitle }}",
    ),
    candidate_told("offer", "candidate-offer", "application-offer", "An offer for you: {{ jobTitle }}"),
    candidate_told("hired", "candidate-hired", "application-hired", "Welcome on board: {{ jobTitle }}"),
    candidate_told("rejected", "candidate-rejected", "application-rejected", "Your application: {{ jobTitle }}"),
    candidate_told(
        "withdrawn",
        "candidate-withdrawn",
        "application-withdrawn",
        "Your application is withdrawn: {{ jobTitle }}",
    ),
    Rule {
        name: "administrators-incidents",
        event: "audit.security",
        when: When::TooMany,
        audience: Audience::Administrators,
        channel: Channel::Email,
        template: "security-incidents",
        subject: "Many security incidents: {{ incident }}",
        variables: &[
            ("incident", Source::Event("incident")),
            ("incidents", Source::Incidents),
            ("windowMinutes", Source::WindowMinutes),
            ("entity", Source::Event("entity")),
            ("time", Source::Time),
        ],
    },
];
