//! The one place that decides whether somebody may do something.

use std::collections::{BTreeMap, BTreeSet};

use crate::security::acl::{Acl, Operation, Permission, Resource, ResourceType};
use crate::security::config::SecurityConfig;
use crate::security::session::Who;

/// Separates principals in a configuration: names of certificates have commas in them.
const SEPARATOR: char = ';';

/// What decides where no rule does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policy {
    /// Without it everybody may do everything.
    pub(crate) enabled: bool,
    super_users: BTreeSet<String>,
    everyone_if_no_acl_found: bool,
}

/// All rules, by the kind of resource.
pub(crate) type Acls = BTreeMap<ResourceType, BTreeSet<Acl>>;

impl Policy {
    pub(crate) fn of(config: &SecurityConfig) -> Self {
        let names = config.super_users.split(SEPARATOR).map(str::trim).filter(|name| !name.is_empty());
        Self {
            enabled: config.authorize,
            super_users: names.map(ToOwned::to_owned).collect(),
            everyone_if_no_acl_found: config.allow_everyone_if_no_acl_found,
        }
    }

    /// Whether somebody may do something with a resource: super users may, then a rule that denies counts for more
    /// than one that allows, and without either nobody may, unless resources without rules are open.
    pub(crate) fn allows(&self, acls: &Acls, who: &Who, operation: Operation, resource: Resource<'_>) -> bool {
        if !self.enabled || self.super_users.contains(&who.principal) {
            return true;
        }
        let host = who.host.to_string();
        let (mut found, mut allowed) = (false, false);
        for acl in acls.get(&resource.kind()).into_iter().flatten() {
            if !acl.covers(resource.kind(), resource.name()) {
                continue;
            }
            found = true;
            if acl.is_about(&who.principal, &host) && acl.decides(operation) {
                match acl.permission {
                    Permission::Deny => return false,
                    Permission::Allow => allowed = true,
                }
            }
        }
        allowed || (!found && self.everyone_if_no_acl_found)
    }

    /// Whether somebody may do something with any resource of a kind at all.
    pub(crate) fn allows_some(&self, acls: &Acls, who: &Who, operation: Operation, kind: ResourceType) -> bool {
        if !self.enabled || self.super_users.contains(&who.principal) {
            return true;
        }
        let host = who.host.to_string();
        let own = || {
            let of_kind = acls.get(&kind).into_iter().flatten();
            of_kind.filter(|acl| acl.is_about(&who.principal, &host) && acl.decides(operation))
        };
        let denies = |allow: &Acl| own().any(|acl| acl.permission == Permission::Deny && acl.covers_all_of(allow));
        let denied_whole = || own().any(|acl| acl.permission == Permission::Deny && acl.name == "*");
        own().any(|acl| acl.permission == Permission::Allow && !denies(acl))
            || (self.everyone_if_no_acl_found && !denied_whole())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::security::acl::Pattern;

    const TOPIC: ResourceType = ResourceType::Topic;

    fn acl(permission: Permission, operation: Operation, pattern: Pattern, name: &str, principal: &str) -> Acl {
        let (name, principal, host) = (name.to_owned(), principal.to_owned(), "*".to_owned());
        Acl { resource_type: TOPIC, name, pattern, principal, host, operation, permission }
    }

    fn allow(operation: Operation, name: &str) -> Acl {
        acl(Permission::Allow, operation, Pattern::Literal, name, "User:an")
    }

    fn deny(operation: Operation, name: &str) -> Acl {
        acl(Permission::Deny, operation, Pattern::Literal, name, "User:an")
    }

    fn prefixed(rule: Acl) -> Acl {
        Acl { pattern: Pattern::Prefixed, ..rule }
    }

    fn policy() -> Policy {
        Policy { enabled: true, ..Policy::default() }
    }

    fn an() -> Who {
        Who { principal: "User:an".to_owned(), host: "10.0.0.1".parse().unwrap() }
    }

    fn allows(rules: &[Acl], operation: Operation, topic: &str) -> bool {
        let acls = Acls::from([(TOPIC, rules.iter().cloned().collect())]);
        policy().allows(&acls, &an(), operation, Resource::Topic(topic))
    }

    #[test]
    fn without_a_rule_nobody_may_and_patterns_name_what_they_say() {
        assert!(!allows(&[], Operation::Read, "events"));
        assert!(allows(&[allow(Operation::Read, "events")], Operation::Read, "events"));
        assert!(!allows(&[allow(Operation::Read, "events")], Operation::Read, "events2"));
        assert!(!allows(&[allow(Operation::Read, "events")], Operation::Write, "events"));
        assert!(allows(&[allow(Operation::Read, "*")], Operation::Read, "events"));
        assert!(allows(&[prefixed(allow(Operation::Read, "eve"))], Operation::Read, "events"));
        assert!(!allows(&[prefixed(allow(Operation::Read, "*"))], Operation::Read, "events"));
        let other = Acl { principal: "User:bo".to_owned(), ..allow(Operation::Read, "events") };
        assert!(!allows(&[other], Operation::Read, "events"));
        let anybody = Acl { principal: "User:*".to_owned(), ..allow(Operation::Read, "events") };
        assert!(allows(&[anybody], Operation::Read, "events"));
        let elsewhere = Acl { host: "10.0.0.2".to_owned(), ..allow(Operation::Read, "events") };
        assert!(!allows(&[elsewhere], Operation::Read, "events"));
    }

    #[test]
    fn what_denies_counts_for_more_than_what_allows() {
        let all = allow(Operation::All, "*");
        assert!(!allows(&[all.clone(), deny(Operation::Write, "events")], Operation::Write, "events"));
        assert!(allows(&[all.clone(), deny(Operation::Write, "events")], Operation::Read, "events"));
        assert!(!allows(&[all.clone(), prefixed(deny(Operation::All, "e"))], Operation::Read, "events"));
        // To be denied reading does not hide that something is there.
        assert!(allows(&[all, deny(Operation::Read, "events")], Operation::Describe, "events"));
    }

    #[test]
    fn whoever_may_work_with_something_may_describe_it() {
        for operation in [Operation::Read, Operation::Write, Operation::Delete, Operation::Alter] {
            assert!(allows(&[allow(operation, "events")], Operation::Describe, "events"));
        }
        assert!(!allows(&[allow(Operation::Create, "events")], Operation::Describe, "events"));
        assert!(allows(&[allow(Operation::AlterConfigs, "events")], Operation::DescribeConfigs, "events"));
    }

    #[test]
    fn super_users_may_everything_and_topics_without_rules_can_be_open() {
        let mut config = SecurityConfig { authorize: true, ..SecurityConfig::default() };
        config.super_users = "User:CN=admin,O=Talent; User:an".to_owned();
        let acls = Acls::from([(TOPIC, BTreeSet::from([deny(Operation::All, "*")]))]);
        let may = |config: &SecurityConfig, acls: &Acls, topic: &str| {
            Policy::of(config).allows(acls, &an(), Operation::Write, Resource::Topic(topic))
        };
        assert!(may(&config, &acls, "events"));
        config.super_users.clear();
        assert!(!may(&config, &acls, "events"));
        config.allow_everyone_if_no_acl_found = true;
        assert!(!may(&config, &acls, "events"));
        let acls = Acls::from([(TOPIC, BTreeSet::from([allow(Operation::Read, "events")]))]);
        assert!(may(&config, &acls, "others"));
        assert!(!may(&config, &acls, "events"), "a rule about somebody closes it to the others");
        config.authorize = false;
        assert!(may(&config, &acls, "events"));
    }

    #[test]
    fn something_of_a_kind_is_allowed_unless_all_of_it_is_denied() {
        let some = |rules: &[Acl]| {
            let acls = Acls::from([(TOPIC, rules.iter().cloned().collect())]);
            policy().allows_some(&acls, &an(), Operation::Write, TOPIC)
        };
        assert!(!some(&[]));
        assert!(some(&[allow(Operation::Write, "events")]));
        assert!(!some(&[allow(Operation::Write, "events"), prefixed(deny(Operation::Write, "eve"))]));
        assert!(some(&[prefixed(allow(Operation::Write, "e")), deny(Operation::Write, "events")]));
        assert!(!some(&[allow(Operation::Write, "events"), deny(Operation::All, "*")]));
    }
}
