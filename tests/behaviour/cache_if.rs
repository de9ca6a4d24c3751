//! `cache_if`: only some results are stored.

use larder::cached;

use crate::support::Runs;

#[test]
fn a_closure() {
    static RUNS: Runs = Runs::new();
    #[cached(cache_if = |answer| answer.len() > 2)]
    fn f(text: &str) -> String {
        RUNS.add();
        text.to_uppercase()
    }
    assert_eq!((f("ab"), f("ab")), ("AB".into(), "AB".into()), "what isn't stored is returned all the same");
    assert_eq!(RUNS.get(), 2);
    assert_eq!((f("abc"), f("abc")), ("ABC".into(), "ABC".into()));
    assert_eq!(RUNS.get(), 3);
}

#[test]
fn a_function() {
    fn is_even(number: &u64) -> bool {
        number.is_multiple_of(2)
    }
    static EVEN: Runs = Runs::new();
    #[cached(cache_if = is_even)]
    fn even(id: u64) -> u64 {
        EVEN.add();
        id
    }
    for id in [1, 2, 1, 2] {
        even(id);
    }
    assert_eq!(EVEN.get(), 3);

    static SOME: Runs = Runs::new();
    #[cached(cache_if = Option::is_some)]
    fn some(id: u64) -> Option<u64> {
        SOME.add();
        (id > 1).then_some(id)
    }
    for id in [1, 2, 1, 2] {
        some(id);
    }
    assert_eq!(SOME.get(), 3);
}

#[test]
fn a_closure_may_use_arguments() {
    static RUNS: Runs = Runs::new();
    #[cached(cache_if = |sum| *sum > least)]
    fn f(a: u64, least: u64) -> u64 {
        RUNS.add();
        a + least
    }
    for a in [0, 1, 0, 1] {
        f(a, 5);
    }
    assert_eq!(RUNS.get(), 3);
}

#[tokio::test]
async fn it_sees_the_ok() {
    static RUNS: Runs = Runs::new();
    #[cached(cache_if = |number: &u64| *number > 1)]
    async fn f(id: u64) -> Result<u64, String> {
        RUNS.add();
        if id == 0 { Err("zero".into()) } else { Ok(id) }
    }
    for id in [0, 1, 2, 0, 1, 2] {
        let _ = f(id).await;
    }
    assert_eq!(RUNS.get(), 5, "only 2 was stored");
}

#[test]
fn with_cache_err_it_sees_the_whole_result() {
    static RUNS: Runs = Runs::new();
    #[cached(cache_err = true, cache_if = |result| !matches!(result, Err(code) if *code >= 500))]
    fn f(code: u16) -> Result<u16, u16> {
        RUNS.add();
        if code < 300 { Ok(code) } else { Err(code) }
    }
    for code in [200, 404, 500, 200, 404, 500] {
        let _ = f(code);
    }
    assert_eq!(RUNS.get(), 4, "only 500 ran twice");
}

#[test]
fn what_is_computed_from_a_result_that_is_not_stored_may_be() {
    static CHILD: Runs = Runs::new();
    #[cached(cache_if = |_| false)]
    fn child() -> usize {
        CHILD.add()
    }
    static PARENT: Runs = Runs::new();
    #[cached]
    fn parent() -> usize {
        PARENT.add();
        child()
    }
    assert_eq!((parent(), parent()), (1, 1));
    assert_eq!((CHILD.get(), PARENT.get()), (1, 1));
}
