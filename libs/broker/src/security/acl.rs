//! Access rules: who may, or may not, do what with which topics, groups, transactions, or the cluster.

use serde::{Deserialize, Serialize};

/// The name of the one cluster among resources.
const CLUSTER: &str = "kafka-cluster";
/// Stands for every name, principal or host.
const ANY: &str = "*";
const ANYBODY: &str = "User:*";
/// Filters take everything of a kind with this number.
const WIRE_ANY: i8 = 1;
const WIRE_MATCH: i8 = 2;

/// Kinds of resources, by their numbers on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum ResourceType {
    Topic = 2,
    Group = 3,
    Cluster = 4,
    TransactionalId = 5,
    DelegationToken = 6,
    User = 7,
}

/// What is done, by its number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Operation {
    All = 2,
    Read = 3,
    Write = 4,
    Create = 5,
    Delete = 6,
    Alter = 7,
    Describe = 8,
    ClusterAction = 9,
    DescribeConfigs = 10,
    AlterConfigs = 11,
    IdempotentWrite = 12,
    CreateTokens = 13,
    DescribeTokens = 14,
    TwoPhaseCommit = 15,
}

/// How a rule names resources, by its number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Pattern {
    /// The one of this name, or all with `*`.
    Literal = 3,
    /// All whose names begin so.
    Prefixed = 4,
}

/// What a rule says, by its number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Permission {
    Deny = 2,
    Allow = 3,
}

impl ResourceType {
    const ALL: [Self; 6] =
        [Self::Topic, Self::Group, Self::Cluster, Self::TransactionalId, Self::DelegationToken, Self::User];

    pub(crate) fn of_wire(number: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as i8 == number)
    }

    /// What can be done with resources of this kind.
    pub(crate) fn operations(self) -> &'static [Operation] {
        use Operation as O;
        match self {
            Self::Topic => {
                &[O::Read, O::Write, O::Create, O::Delete, O::Alter, O::Describe, O::DescribeConfigs, O::AlterConfigs]
            }
            Self::Group => &[O::Read, O::Delete, O::Describe],
            Self::Cluster => &[
                O::Create,
                O::Alter,
                O::Describe,
                O::ClusterAction,
                O::DescribeConfigs,
                O::AlterConfigs,
                O::IdempotentWrite,
            ],
            Self::TransactionalId => &[O::Write, O::Describe, O::TwoPhaseCommit],
            Self::DelegationToken => &[O::Describe],
            Self::User => &[O::CreateTokens, O::DescribeTokens],
        }
    }
}

impl Operation {
    const ALL: [Self; 14] = [
        Self::All,
        Self::Read,
        Self::Write,
        Self::Create,
        Self::Delete,
        Self::Alter,
        Self::Describe,
        Self::ClusterAction,
        Self::DescribeConfigs,
        Self::AlterConfigs,
        Self::IdempotentWrite,
        Self::CreateTokens,
        Self::DescribeTokens,
        Self::TwoPhaseCommit,
    ];

    pub(crate) fn of_wire(number: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| *operation as i8 == number)
    }

    /// Whether somebody who is allowed this may do the other too.
    fn implies(self, other: Self) -> bool {
        match other {
            _ if self == other || self == Self::All => true,
            Self::Describe => matches!(self, Self::Read | Self::Write | Self::Delete | Self::Alter),
            Self::DescribeConfigs => self == Self::AlterConfigs,
            _ => false,
        }
    }
}

/// Something that a client wants to do something with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource<'a> {
    Topic(&'a str),
    Group(&'a str),
    Cluster,
    TransactionalId(&'a str),
}

impl Resource<'_> {
    pub(crate) fn kind(&self) -> ResourceType {
        match self {
            Self::Topic(_) => ResourceType::Topic,
            Self::Group(_) => ResourceType::Group,
            Self::Cluster => ResourceType::Cluster,
            Self::TransactionalId(_) => ResourceType::TransactionalId,
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Topic(name) | Self::Group(name) | Self::TransactionalId(name) => name,
            Self::Cluster => CLUSTER,
        }
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acl {
    pub(crate) resource_type: ResourceType,
    pub(crate) name: String,
    pub(crate) pattern: Pattern,
    pub(crate) principal: String,
    pub(crate) host: String,
    pub(crate) operation: Operation,
    pub(crate) permission: Permission,
}

impl Acl {
    /// Whether it is about a resource.
    pub(crate) fn covers(&self, kind: ResourceType, name: &str) -> bool {
        self.resource_type == kind && names(self.pattern, &self.name, name)
    }

    /// Whether it is about somebody.
    pub(crate) fn is_about(&self, principal: &str, host: &str) -> bool {
        (self.principal == principal || self.principal == ANYBODY) && (self.host == host || self.host == ANY)
    }

    /// Whether it decides about an operation: what denies means just that, what allows means what goes with it too.
    pub(crate) fn decides(&self, operation: Operation) -> bool {
        match self.permission {
            Permission::Deny => matches!(self.operation, Operation::All) || self.operation == operation,
            Permission::Allow => self.operation.implies(operation),
        }
    }

    /// Whether whatever another rule covers is covered by this one.
    pub(crate) fn covers_all_of(&self, other: &Self) -> bool {
        let whole = self.pattern == Pattern::Literal && self.name == ANY;
        let more = match (self.pattern, other.pattern) {
            (Pattern::Literal, Pattern::Literal) => self.name == other.name,
            (Pattern::Prefixed, _) => other.name != ANY && other.name.starts_with(&self.name),
            (Pattern::Literal, Pattern::Prefixed) => false,
        };
        self.resource_type == other.resource_type && (whole || more)
    }
}

fn names(pattern: Pattern, of_rule: &str, name: &str) -> bool {
    match pattern {
        Pattern::Literal => of_rule == name || of_rule == ANY,
        Pattern::Prefixed => name.starts_with(of_rule),
    }
}

/// A request names rules by numbers that do not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unknown;

/// Which rules are meant; what is not said takes every value.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    resource_type: Option<ResourceType>,
    name: Option<String>,
    pattern: PatternFilter,
    principal: Option<String>,
    host: Option<String>,
    operation: Option<Operation>,
    permission: Option<Permission>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PatternFilter {
    Any,
    /// Every rule that covers the resource of the name.
    Match,
    Only(Pattern),
}

/// A filter, or a new rule, as it is on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    pub(crate) resource_type: i8,
    pub(crate) name: Option<String>,
    pub(crate) pattern: i8,
    pub(crate) principal: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) operation: i8,
    pub(crate) permission: i8,
}

impl Wire {
    /// As a filter.
    pub(crate) fn filter(self) -> Result<Filter, Unknown> {
        let pattern = match self.pattern {
            WIRE_ANY => PatternFilter::Any,
            WIRE_MATCH => PatternFilter::Match,
            number => PatternFilter::Only(pattern_of(number).ok_or(Unknown)?),
        };
        Ok(Filter {
            resource_type: any_or(self.resource_type, ResourceType::of_wire)?,
            name: self.name,
            pattern,
            principal: self.principal,
            host: self.host,
            operation: any_or(self.operation, Operation::of_wire)?,
            permission: any_or(self.permission, permission_of)?,
        })
    }

    /// As a rule, in which nothing is left open.
    pub(crate) fn rule(self) -> Result<Acl, Unknown> {
        let full = |text: Option<String>| text.filter(|text| !text.is_empty()).ok_or(Unknown);
        let rule = Acl {
            resource_type: ResourceType::of_wire(self.resource_type).ok_or(Unknown)?,
            name: full(self.name)?,
            pattern: pattern_of(self.pattern).ok_or(Unknown)?,
            principal: full(self.principal)?,
            host: full(self.host)?,
            operation: Operation::of_wire(self.operation).ok_or(Unknown)?,
            permission: permission_of(self.permission).ok_or(Unknown)?,
        };
        let fits = rule.operation == Operation::All || rule.resource_type.operations().contains(&rule.operation);
        let cluster = rule.resource_type != ResourceType::Cluster
            || (rule.pattern == Pattern::Literal && matches!(rule.name.as_str(), CLUSTER | ANY));
        let typed = rule.principal.split_once(':').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty());
        if fits && cluster && typed { Ok(rule) } else { Err(Unknown) }
    }
}

impl Filter {
    /// Whether a rule is meant.
    pub(crate) fn takes(&self, acl: &Acl) -> bool {
        let named = match (&self.name, self.pattern) {
            (_, PatternFilter::Only(pattern)) if pattern != acl.pattern => false,
            (None, _) => true,
            (Some(name), PatternFilter::Match) => names(acl.pattern, &acl.name, name),
            (Some(name), _) => *name == acl.name,
        };
        named
            && self.resource_type.is_none_or(|kind| kind == acl.resource_type)
            && self.principal.as_ref().is_none_or(|principal| *principal == acl.principal)
            && self.host.as_ref().is_none_or(|host| *host == acl.host)
            && self.operation.is_none_or(|operation| operation == acl.operation)
            && self.permission.is_none_or(|permission| permission == acl.permission)
    }
}

fn any_or<T>(number: i8, of_wire: impl FnOnce(i8) -> Option<T>) -> Result<Option<T>, Unknown> {
    if number == WIRE_ANY { Ok(None) } else { of_wire(number).map(Some).ok_or(Unknown) }
}

fn pattern_of(number: i8) -> Option<Pattern> {
    [Pattern::Literal, Pattern::Prefixed].into_iter().find(|pattern| *pattern as i8 == number)
}

fn permission_of(number: i8) -> Option<Permission> {
    [Permission::Deny, Permission::Allow].into_iter().find(|permission| *permission as i8 == number)
}
