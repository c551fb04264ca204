//! The promises about answers that are kept under a key.

use super::Make;
use super::samples::{answer, assign, name};
use crate::{AnswerName, Commit, KeptAnswer, Limits, Store};

fn put(store: &Store, answers: Vec<KeptAnswer>) {
    let outcomes = store.commit(vec![Commit { answers, ..Commit::default() }]).expect("writes");
    assert!(outcomes[0].is_ok());
}

fn kept(store: &Store, keys: &[&str]) -> Vec<u64> {
    let answers = keys.iter().filter_map(|key| store.answer(&name(key)).expect("reads"));
    answers.map(|answer| answer.at_ms).collect()
}

pub(crate) fn an_answer_is_kept_with_its_change_and_under_its_askers_name_alone(make: Make) {
    let store = make(Limits::default());
    let change = assign(1, 0, &store.snapshot().desired);
    let answers = vec![answer("a-key", 5)];
    store.commit(vec![Commit { change, answers, ..Commit::default() }]).expect("writes");
    assert_eq!(store.answer(&name("a-key")).expect("reads"), Some(answer("a-key", 5)));
    let of_another = AnswerName { principal: "somebody else".to_owned(), key: "a-key".to_owned() };
    assert_eq!(store.answer(&of_another).expect("reads"), None);
}

pub(crate) fn an_answer_alone_is_kept(make: Make) {
    let store = make(Limits::default());
    put(&store, vec![KeptAnswer { job: None, ..answer("a-key", 5) }]);
    assert_eq!(kept(&store, &["a-key"]), [5]);
}

pub(crate) fn a_later_answer_under_the_same_name_replaces_the_first(make: Make) {
    let store = make(Limits { answers: 2, ..Limits::default() });
    for at_ms in [5, 6, 7] {
        put(&store, vec![answer("a-key", at_ms)]);
    }
    put(&store, vec![answer("b-key", 8)]);
    assert_eq!(kept(&store, &["a-key", "b-key"]), [7, 8]);
}

pub(crate) fn beyond_their_number_the_oldest_answers_go(make: Make) {
    let store = make(Limits { answers: 2, ..Limits::default() });
    put(&store, vec![answer("c", 3), answer("a", 1), answer("b", 2)]);
    assert_eq!(kept(&store, &["a", "b", "c"]), [2, 3]);
    put(&store, vec![answer("d", 4)]);
    assert_eq!(kept(&store, &["a", "b", "c", "d"]), [3, 4]);
}

pub(crate) fn answers_that_are_too_old_go(make: Make) {
    let store = make(Limits { answer_age_ms: 10, ..Limits::default() });
    put(&store, vec![answer("a", 1), answer("b", 2)]);
    put(&store, vec![answer("c", 12)]);
    assert_eq!(kept(&store, &["a", "b", "c"]), [2, 12]);
    put(&store, vec![answer("d", u64::MAX)]);
    assert_eq!(kept(&store, &["a", "b", "c", "d"]), [u64::MAX]);
}
