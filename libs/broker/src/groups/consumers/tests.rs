//! Members come, go, give up and get, a heartbeat at a time.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;

const ALLOWED: Allowed = Allowed { members_max: 3, session_timeout: Duration::from_secs(10) };

fn topic(id: u128) -> Uuid {
    Uuid::from_u128(id)
}

fn world(partitions: i32) -> World {
    vec![(Arc::from("orders"), topic(1), partitions), (Arc::from("users"), topic(2), 2)]
}

fn join(id: &str) -> Beat {
    Beat {
        member_id: id.to_owned(),
        names: Some(BTreeSet::from(["orders".to_owned()])),
        rebalance_timeout: Some(Duration::from_secs(5)),
        owned: Some(Parts::new()),
        ..Beat::default()
    }
}

fn alive(id: &str, epoch: i32, owned: Option<&[i32]>) -> Beat {
    let owned = owned.map(|owned| owned.iter().map(|index| (topic(1), *index)).collect());
    Beat { member_id: id.to_owned(), epoch, owned, ..Beat::default() }
}

/// A group over a topic of four partitions.
struct Fixture {
    group: Consumers,
    now: Instant,
}

impl Fixture {
    fn new() -> Self {
        Self { group: Consumers::new(), now: Instant::now() }
    }

    fn beat(&mut self, beat: Beat) -> Result<(i32, Option<Vec<i32>>), ResponseError> {
        let beaten = self.group.heartbeat(beat, ALLOWED, world(4), self.now).map_err(|refused| refused.error)?;
        let indexes = |parts: Parts| parts.into_iter().map(|(_, index)| index).collect();
        Ok((beaten.epoch, beaten.assignment.map(indexes)))
    }
}

#[tokio::test]
async fn a_partition_is_given_on_only_when_it_was_given_up() {
    let mut group = Fixture::new();
    assert_eq!(group.beat(join("a")), Ok((1, Some(vec![0, 1, 2, 3]))));
    assert_eq!(group.beat(alive("a", 1, Some(&[0, 1, 2, 3]))), Ok((1, None)), "nothing new");
    assert_eq!(group.beat(join("b")), Ok((2, Some(vec![]))), "the other has everything still");
    let (epoch, kept) = group.beat(alive("a", 1, None)).unwrap();
    let kept = kept.unwrap();
    assert_eq!((epoch, kept.len()), (1, 2), "it stays at its epoch until it has given up");
    assert_eq!(group.group.state(), "Reconciling");
    assert_eq!(group.beat(alive("b", 2, None)), Ok((2, None)));
    assert_eq!(group.beat(alive("a", 1, Some(&kept))), Ok((2, None)), "it has");
    let (epoch, got) = group.beat(alive("b", 2, None)).unwrap();
    let got = got.unwrap();
    assert_eq!((epoch, got.len()), (2, 2));
    assert!(got.iter().all(|index| !kept.contains(index)));
    assert_eq!(group.group.state(), "Stable");
}

#[tokio::test]
async fn epochs_and_members_that_are_not_the_groups_are_fenced() {
    let mut group = Fixture::new();
    group.beat(join("a")).unwrap();
    assert_eq!(group.beat(alive("x", 1, None)), Err(ResponseError::UnknownMemberId));
    assert_eq!(group.beat(alive("a", 2, None)), Err(ResponseError::FencedMemberEpoch));
    group.beat(join("b")).unwrap();
    group.beat(alive("a", 1, Some(&[0, 1]))).unwrap();
    assert_eq!(group.group.check_committer("a", 1), Err(ResponseError::StaleMemberEpoch));
    assert_eq!(group.group.check_committer("a", 2), Ok(()));
    assert_eq!(group.beat(alive("a", 1, None)), Err(ResponseError::FencedMemberEpoch));
    assert_eq!(group.beat(alive("a", 1, Some(&[0, 1]))), Ok((2, None)), "it may have missed one answer");
    assert_eq!(group.beat(alive("a", LEAVING, None)), Ok((LEAVING, None)));
    assert_eq!(group.group.check_committer("a", 2), Err(ResponseError::UnknownMemberId));
}

#[tokio::test]
async fn joins_that_cannot_be_are_refused() {
    let mut group = Fixture::new();
    let refused = |group: &mut Fixture, beat| group.beat(beat).unwrap_err();
    assert_eq!(refused(&mut group, Beat { names: None, ..join("a") }), ResponseError::InvalidRequest);
    assert_eq!(refused(&mut group, Beat { rebalance_timeout: None, ..join("a") }), ResponseError::InvalidRequest);
    let sticky = Beat { assignor: Some("sticky".to_owned()), ..join("a") };
    assert_eq!(refused(&mut group, sticky), ResponseError::UnsupportedAssignor);
    let pattern = Beat { pattern: Some("(".to_owned()), ..join("a") };
    assert_eq!(refused(&mut group, pattern), ResponseError::InvalidRegularExpression);
    for id in ["a", "b", "c"] {
        group.beat(join(id)).unwrap();
    }
    assert_eq!(refused(&mut group, join("d")), ResponseError::GroupMaxSizeReached);
}

#[tokio::test]
async fn who_is_silent_or_does_not_give_up_is_out_and_its_partitions_are_free() {
    let mut group = Fixture::new();
    group.beat(join("a")).unwrap();
    group.beat(join("b")).unwrap();
    group.beat(alive("a", 1, None)).unwrap();
    let start = group.now;
    assert_eq!(group.group.tend(start), Some(start + Duration::from_secs(5)), "until then it must have given up");
    group.now = start + Duration::from_secs(5);
    group.group.tend(group.now);
    assert_eq!(group.beat(alive("a", 1, None)), Err(ResponseError::UnknownMemberId));
    assert_eq!(group.beat(alive("b", 2, None)), Ok((3, Some(vec![0, 1, 2, 3]))));
    group.now += Duration::from_secs(10);
    assert_eq!(group.group.tend(group.now), None);
    assert_eq!(group.group.state(), "Empty");
}

#[tokio::test]
async fn a_static_member_that_comes_back_under_another_id_has_its_partitions_without_a_rebalance() {
    let mut group = Fixture::new();
    let fixed = |id: &str| Beat { instance: Some("one".to_owned()), ..join(id) };
    group.beat(fixed("a")).unwrap();
    assert_eq!(group.beat(fixed("b")), Err(ResponseError::UnreleasedInstanceId), "the first is still there");
    let away = Beat { instance: Some("one".to_owned()), ..alive("a", AWAY, None) };
    assert_eq!(group.beat(away), Ok((AWAY, None)));
    assert_eq!(group.beat(fixed("b")), Ok((1, Some(vec![0, 1, 2, 3]))), "at the same epoch");
    let old = Beat { instance: Some("one".to_owned()), ..alive("a", 1, None) };
    assert_eq!(group.beat(old), Err(ResponseError::UnknownMemberId));
}

#[tokio::test]
async fn patterns_and_new_partitions_change_what_is_shared() {
    let mut group = Fixture::new();
    let pattern = Beat { names: None, pattern: Some("or.*|users".to_owned()), ..join("a") };
    let beaten = group.group.heartbeat(pattern, ALLOWED, world(1), group.now).unwrap();
    assert_eq!(beaten.assignment.unwrap().len(), 3, "one of orders, two of users");
    let beaten = group.group.heartbeat(alive("a", 1, None), ALLOWED, world(3), group.now).unwrap();
    assert_eq!((beaten.epoch, beaten.assignment.unwrap().len()), (2, 5));
    let narrower = Beat { pattern: Some("user".to_owned()), ..alive("a", 2, None) };
    let beaten = group.group.heartbeat(narrower, ALLOWED, world(3), group.now).unwrap();
    assert_eq!(beaten.assignment.unwrap().len(), 0, "a pattern matches whole names");
}

#[tokio::test]
async fn the_assignor_that_most_members_ask_for_shares() {
    let mut group = Fixture::new();
    group.beat(join("a")).unwrap();
    assert_eq!(group.group.assignor, Assignor::Uniform);
    for id in ["b", "c"] {
        group.beat(Beat { assignor: Some("range".to_owned()), ..join(id) }).unwrap();
    }
    assert_eq!(group.group.assignor, Assignor::Range);
}

#[tokio::test]
async fn a_group_comes_back_from_its_records_as_it_was() {
    let mut group = Fixture::new();
    let instance = |id: &str, instance: &str| Beat {
        instance: Some(instance.to_owned()),
        rack: Some("rack".to_owned()),
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        pattern: Some("us.*".to_owned()),
        assignor: Some("range".to_owned()),
        ..join(id)
    };
    group.beat(instance("a", "first")).unwrap();
    group.beat(join("b")).unwrap();
    // One is in the midst of giving up.
    group.beat(alive("a", 1, None)).unwrap();
    let records = group.group.records("g");
    assert!(records.keys().all(|key| kept::group_of(key).as_deref() == Some("g")));
    assert_eq!(kept::group_of(b"\0\x02\0\x01g"), None, "a classic group has another kind of key");
    let back = Consumers::restore(&records, world(4), ALLOWED.session_timeout, group.now).unwrap();
    assert_eq!(format!("{back:?}"), format!("{:?}", Consumers { changed: false, alive_ms: 0, ..group.group }));
    assert_eq!(back.records("g"), records);
    let mut group = Fixture { group: back, now: group.now };
    assert_eq!(group.beat(alive("b", 2, None)), Ok((2, None)), "it goes on where it was");
    for (key, value) in &records {
        for length in 0..value.len() - 1 {
            let mut cut = records.clone();
            cut.insert(key.clone(), value[..length].to_vec());
            // Nothing, or a group without what cannot be read; no panic.
            let _ = Consumers::restore(&cut, world(4), ALLOWED.session_timeout, group.now);
        }
    }
}

#[tokio::test]
async fn only_what_has_changed_is_kept_anew() {
    let mut group = Fixture::new();
    let mut changed = |beat: Beat| {
        let _ = group.beat(beat);
        std::mem::take(&mut group.group.changed)
    };
    assert!(changed(join("a")));
    assert!(!changed(alive("a", 1, None)), "a heartbeat costs no write");
    assert!(!changed(alive("a", 1, Some(&[0, 1, 2, 3]))));
    assert!(changed(join("b")));
    assert!(changed(alive("a", 1, None)), "it is told to give up");
    assert!(!changed(alive("nobody", 1, None)));
    assert!(changed(alive("b", LEAVING, None)));
}

#[tokio::test]
async fn what_members_say_of_themselves_is_bounded_for_each_and_for_all() {
    let mut group = Fixture::new();
    let wordy = |id: &str, bytes: usize| Beat { names: Some(BTreeSet::from(["x".repeat(bytes)])), ..join(id) };
    assert_eq!(group.beat(wordy("a", MEMBER_BYTES_MAX)), Err(ResponseError::InvalidRequest));
    let allowed = Allowed { members_max: 100, ..ALLOWED };
    let mut refused = None;
    for at in 0..20 {
        let beat = wordy(&at.to_string(), MEMBER_BYTES_MAX - 100);
        refused = group.group.heartbeat(beat, allowed, world(4), group.now).err();
        if refused.is_some() {
            break;
        }
    }
    assert_eq!(refused.map(|refused| refused.error), Some(ResponseError::GroupMaxSizeReached));
    assert_eq!(group.group.members.len(), GROUP_BYTES_MAX / MEMBER_BYTES_MAX);
    assert!(group.beat(alive("0", 1, None)).is_ok(), "who says nothing new is heard");
}

#[tokio::test]
async fn an_instance_is_held_by_members_only_and_by_one_at_a_time() {
    let mut group = Fixture::new();
    let of = |id: &str, instance: &str| Beat { instance: Some(instance.to_owned()), ..join(id) };
    assert!(group.beat(of("a", "first")).is_ok());
    assert!(group.beat(of("a", "second")).is_ok(), "it comes back as another instance");
    assert!(group.beat(of("b", "first")).is_ok(), "which frees the one that it was");
    assert_eq!(group.beat(of("c", "second")), Err(ResponseError::UnreleasedInstanceId));
    assert!(group.beat(of("c", "third")).is_ok());
    for at in 0..10 {
        let refused = group.beat(of(&format!("more {at}"), &format!("instance {at}")));
        assert_eq!(refused, Err(ResponseError::GroupMaxSizeReached));
    }
    let held: BTreeSet<&str> = group.group.instances.keys().map(String::as_str).collect();
    assert_eq!(held, BTreeSet::from(["first", "second", "third"]), "who is refused holds none");
}
