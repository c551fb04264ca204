use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn user(name: &str) -> Principal {
    Principal::named(name.to_owned())
}

fn with_one(now: Instant) -> (Sessions, NewSession) {
    let mut sessions = Sessions::default();
    let new = sessions.open(user("ann"), now).expect("is opened");
    (sessions, new)
}

#[test]
fn a_session_is_found_by_its_id_and_by_nothing_else() {
    let now = Instant::now();
    let (mut sessions, new) = with_one(now);
    let found = sessions.find(&new.id, now).expect("is there");
    assert_eq!((found.principal.as_str(), &found.csrf), ("ann", &new.csrf));
    for wrong in ["", &new.csrf, &new.id[1..], &new.id.to_uppercase().replace('A', "b")] {
        assert!(sessions.find(wrong, now).is_none(), "{wrong:?} was found");
    }
}

#[test]
fn a_session_that_is_not_used_ends() {
    let now = Instant::now();
    let (mut sessions, new) = with_one(now);
    assert!(sessions.find(&new.id, now + IDLE - SECOND).is_some());
    assert!(sessions.find(&new.id, now + IDLE + IDLE - 2 * SECOND).is_some(), "its use did not count");
    assert!(sessions.find(&new.id, now + 4 * IDLE).is_none());
    assert!(sessions.find(&new.id, now).is_none(), "it came back");
}

#[test]
fn what_a_page_asks_by_itself_does_not_keep_its_session() {
    let now = Instant::now();
    let (mut sessions, new) = with_one(now);
    assert!(sessions.look(&new.id, now + IDLE - SECOND).is_some());
    assert!(sessions.look(&new.id, now + IDLE).is_none());
}

#[test]
fn a_session_ends_however_much_it_is_used() {
    let now = Instant::now();
    let (mut sessions, new) = with_one(now);
    let mut at = now;
    while at + IDLE / 2 < now + LONGEST {
        at += IDLE / 2;
        assert!(sessions.find(&new.id, at).is_some());
    }
    assert!(sessions.find(&new.id, now + LONGEST).is_none());
}

#[test]
fn a_session_that_is_ended_is_gone_and_says_so_to_who_is_answered_in_it() {
    let now = Instant::now();
    let (mut sessions, new) = with_one(now);
    let found = sessions.find(&new.id, now).expect("is there");
    assert!(found.ended.has_changed().is_ok());
    sessions.end(found.key);
    assert!(found.ended.has_changed().is_err(), "nobody was told");
    assert!(sessions.find(&new.id, now).is_none());
}

#[test]
fn one_session_too_many_of_a_user_ends_that_users_oldest() {
    let now = Instant::now();
    let mut sessions = Sessions::default();
    let other = sessions.open(user("bob"), now).expect("is opened");
    let ids: Vec<String> = (1..=OF_USER as u32 + 1)
        .map(|nth| sessions.open(user("ann"), now + nth * SECOND).expect("is opened").id)
        .collect();
    let at = now + 100 * SECOND;
    assert!(sessions.find(&ids[0], at).is_none());
    assert!(ids[1..].iter().all(|id| sessions.find(id, at).is_some()));
    assert!(sessions.find(&other.id, at).is_some(), "another user's session was ended");
}

#[test]
fn there_are_never_more_sessions_than_fit() {
    let now = Instant::now();
    let mut sessions = Sessions::default();
    for nth in 0..OF_ALL + 10 {
        sessions.open(user(&format!("user-{nth}")), now).expect("is opened");
    }
    assert_eq!(sessions.all.len(), OF_ALL);
}
