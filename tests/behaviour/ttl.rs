//! `ttl`: how long an answer lives.

use std::time::Duration;

use larder::cached;

use crate::support::{Runs, millis, seconds, timed};

#[test]
fn a_literal() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "5m")]
    fn f(id: u64) -> u64 {
        RUNS.add();
        id
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        f(1);
        clock.advance(seconds(300) - Duration::from_nanos(1));
        f(1);
        assert_eq!(RUNS.get(), 1, "it lives for five minutes");
        clock.advance(Duration::from_nanos(1));
        f(1);
        assert_eq!(RUNS.get(), 2, "and not longer");
        clock.advance(seconds(299));
        f(1);
        assert_eq!(RUNS.get(), 2, "the new answer lives as long, from when it was made");
    });
}

#[test]
fn units_add_up() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "1d2h3m4s5ms")]
    fn f() -> usize {
        RUNS.add()
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        f();
        clock.advance(seconds(86_400 + 2 * 3_600 + 3 * 60 + 4) + millis(4));
        f();
        assert_eq!(RUNS.get(), 1);
        clock.advance(millis(1));
        f();
        assert_eq!(RUNS.get(), 2);
    });
}

#[test]
fn less_than_a_second() {
    static MILLIS: Runs = Runs::new();
    #[cached(ttl = "250ms")]
    fn in_millis() -> usize {
        MILLIS.add()
    }
    static FRACTION: Runs = Runs::new();
    #[cached(ttl = "0.25s")]
    fn fraction() -> usize {
        FRACTION.add()
    }
    static NANOS: Runs = Runs::new();
    #[cached(ttl = "2ns")]
    fn in_nanos() -> usize {
        NANOS.add()
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        let runs = || {
            (in_millis(), fraction(), in_nanos());
            (MILLIS.get(), FRACTION.get(), NANOS.get())
        };
        assert_eq!(runs(), (1, 1, 1));
        clock.advance(Duration::from_nanos(1));
        assert_eq!(runs(), (1, 1, 1));
        clock.advance(Duration::from_nanos(1));
        assert_eq!(runs(), (1, 1, 2));
        clock.advance(millis(249));
        assert_eq!(runs(), (1, 1, 3));
        clock.advance(millis(1));
        assert_eq!(runs(), (2, 2, 4));
    });
}

#[test]
fn an_expression() {
    const TTL: Duration = Duration::from_secs(7);
    static RUNS: Runs = Runs::new();
    #[cached(ttl = TTL * 2)]
    fn f(id: u64) -> u64 {
        RUNS.add();
        id
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        f(1);
        clock.advance(seconds(13));
        f(1);
        assert_eq!(RUNS.get(), 1);
        clock.advance(seconds(1));
        f(1);
        assert_eq!(RUNS.get(), 2);
    });
}

#[test]
fn an_expression_over_arguments() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = Duration::from_secs(name.len() as u64 + most))]
    fn f(name: String, (most, _): (u64, u64)) -> String {
        RUNS.add();
        name
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        let both = || (f("a".into(), (0, 0)), f("abc".into(), (2, 0)));
        both();
        clock.advance(seconds(1));
        both();
        assert_eq!(RUNS.get(), 3, "one second for the first");
        clock.advance(seconds(4));
        both();
        assert_eq!(RUNS.get(), 5, "five for the second");
    });
}

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Token {
    expires_in: Duration,
}

#[test]
fn a_closure_over_the_result() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = |token| token.expires_in)]
    fn plain(seconds: u64) -> Token {
        RUNS.add();
        Token { expires_in: Duration::from_secs(seconds) }
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        let both = || (plain(1), plain(10));
        both();
        clock.advance(seconds(1));
        both();
        assert_eq!(RUNS.get(), 3);
        clock.advance(seconds(9));
        both();
        assert_eq!(RUNS.get(), 5);
    });
}

#[tokio::test]
async fn a_closure_over_the_result_sees_the_ok() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = |token: &Token| token.expires_in)]
    async fn fallible(seconds: u64) -> Result<Token, String> {
        RUNS.add();
        Ok(Token { expires_in: Duration::from_secs(seconds) })
    }
    let (cache, clock) = timed();
    cache
        .with(async {
            fallible(2).await.unwrap();
            clock.advance(seconds(1));
            fallible(2).await.unwrap();
            assert_eq!(RUNS.get(), 1);
            clock.advance(seconds(1));
            fallible(2).await.unwrap();
            assert_eq!(RUNS.get(), 2);
        })
        .await;
}

#[test]
fn set_ttl_counts_instead() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s")]
    fn f(ttls: &[u64]) -> usize {
        for ttl in ttls {
            larder::set_ttl(Duration::from_secs(*ttl));
        }
        RUNS.add()
    }
    let (cache, clock) = timed();
    let lifetime = |ttls: &[u64]| {
        cache.with_sync(|| {
            f(ttls);
            let before = RUNS.get();
            let mut lived = 0;
            while RUNS.get() == before && lived < 100 {
                clock.advance(seconds(1));
                lived += 1;
                f(ttls);
            }
            lived
        })
    };
    assert_eq!(lifetime(&[]), 10, "the option's");
    assert_eq!(lifetime(&[3]), 3, "shorter");
    assert_eq!(lifetime(&[30]), 30, "longer");
    assert_eq!(lifetime(&[30, 4]), 4, "the last one");
}

#[test]
fn zero_is_not_stored() {
    static SET: Runs = Runs::new();
    #[cached]
    fn set() -> usize {
        larder::set_ttl(Duration::ZERO);
        SET.add()
    }
    static COMPUTED: Runs = Runs::new();
    #[cached(ttl = Duration::from_secs(seconds))]
    fn computed(seconds: u64) -> usize {
        let _ = seconds;
        COMPUTED.add()
    }
    let (cache, _clock) = timed();
    cache.with_sync(|| {
        assert_eq!((set(), set()), (1, 2));
        assert_eq!((computed(0), computed(0)), (1, 2));
        assert_eq!((computed(1), computed(1)), (3, 3));
    });
    assert_eq!(cache.stats().memory_entries, 1);
}

#[test]
fn without_one_it_lives_on() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f() -> usize {
        RUNS.add()
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        f();
        clock.advance(seconds(100 * 365 * 86_400));
        f();
    });
    assert_eq!(RUNS.get(), 1);
}

#[test]
fn the_longest_does_not_overflow() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = Duration::MAX)]
    fn f() -> usize {
        RUNS.add()
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        clock.advance(seconds(1));
        f();
        clock.advance(seconds(1_000_000_000));
        f();
    });
    assert_eq!(RUNS.get(), 1);
}

#[test]
fn a_hit_does_not_prolong_it() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s")]
    fn f() -> usize {
        RUNS.add()
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        for _ in 0..20 {
            f();
            clock.advance(seconds(1));
        }
    });
    assert_eq!(RUNS.get(), 2);
}
