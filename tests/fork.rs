//! A process that was forked has none of its parent's threads: neither larder's own nor those that lead runs. Its calls go on
//! without Redis, and hang nowhere; the parent's connections aren't touched.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is how tests fail"
)]
#![allow(unsafe_code, reason = "there is no safe `fork`; see `in_child`")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use larder::{Cache, ErrorKind, Memory, Redis, cached};
use larder_testbed::Server;
use rustix::process::{Pid, WaitOptions, waitpid};

/// What any step in the child may take on a slow machine. Without a timeout it would take for ever.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs it in a forked process. What it returned, or said when it panicked, is shown; whether it came to a good end.
fn in_child(work: impl FnOnce()) -> bool {
    // SAFETY: `fork` has no requirements on memory. A child of a process with several threads may only call what is safe in
    // signal handlers, says POSIX; glibc allows more, as far as no other thread held a lock: here, all others sleep.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    if pid == 0 {
        let ended = catch_unwind(AssertUnwindSafe(work));
        // SAFETY: it doesn't return, and runs nothing of the harness, whose threads aren't here.
        unsafe { libc::_exit(i32::from(ended.is_err())) }
    }
    let (child, began) = (Pid::from_raw(pid).unwrap(), Instant::now());
    loop {
        if let Some((_, status)) = waitpid(Some(child), WaitOptions::NOHANG).unwrap() {
            return status.exit_status() == Some(0);
        }
        if began.elapsed() > 10 * PATIENCE {
            larder_testbed::kill(pid.cast_unsigned());
            let _ = waitpid(Some(child), WaitOptions::empty());
            panic!("the child hangs");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Fails if it takes long.
fn soon<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    let took = began.elapsed();
    eprintln!("{what}: {took:?}");
    assert!(took < PATIENCE, "{what} took {took:?}");
    done
}

static RUNS: AtomicUsize = AtomicUsize::new(0);
static IS_CHILD: AtomicBool = AtomicBool::new(false);
static GATE: OnceLock<Mutex<Receiver<()>>> = OnceLock::new();
static BEGUN: AtomicBool = AtomicBool::new(false);

#[cached(ttl = "1h")]
fn remembered(number: u32) -> usize {
    let _ = number;
    RUNS.fetch_add(1, Ordering::SeqCst) + 1
}

/// The first run, in the parent, doesn't end before the child has.
#[cached(ttl = "1h")]
fn slow(number: u32) -> u32 {
    if !IS_CHILD.load(Ordering::SeqCst) {
        BEGUN.store(true, Ordering::SeqCst);
        let _ = GATE.get().unwrap().lock().unwrap().recv();
    }
    number
}

static REFRESHES: AtomicUsize = AtomicUsize::new(0);

#[cached(ttl = "50ms", stale_while_revalidate = "1h", local)]
fn refreshed() -> usize {
    REFRESHES.fetch_add(1, Ordering::SeqCst) + 1
}

/// A caller waits for the run for so long, by larder's timer.
#[cached(ttl = "50ms", stale_if_error = "1h", timeout = "100ms", local)]
fn impatient() -> Result<usize, String> {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    if RUNS.fetch_add(1, Ordering::SeqCst) > 1 {
        std::thread::sleep(PATIENCE * 2);
    }
    Ok(7)
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_child_goes_on_by_itself() {
    let server = Server::start();
    let builder = || Redis::builder(server.url()).prefix("p");
    let redis = block_on(builder().connect()).unwrap();
    let cache = Cache::builder().memory(Memory::builder()).backend(redis.clone()).build().unwrap();
    cache.clone().install().unwrap();
    // Threads of all kinds are there: of the backend, the timer, and background runs.
    assert_eq!(remembered(1), 1);
    for _ in 0..2 {
        refreshed();
        impatient().unwrap();
        std::thread::sleep(Duration::from_millis(60));
    }
    until("a refresh", || REFRESHES.load(Ordering::SeqCst) == 2);
    let (open, gate) = channel::<()>();
    GATE.set(Mutex::new(gate)).unwrap();
    let leads = std::thread::spawn(|| slow(1));
    until("the run", || BEGUN.load(Ordering::SeqCst));
    let connections = server.raw().info("clients", "connected_clients");

    let child = || {
        IS_CHILD.store(true, Ordering::SeqCst);
        assert_eq!(soon("a hit", || remembered(1)), 1);
        assert_eq!(soon("a miss", || remembered(2)), 2);
        assert_eq!(soon("a run that another thread leads in the parent", || slow(1)), 1);
        let error = soon("an invalidation", || invalidate_remembered(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert!(error.to_string().contains("was forked"), "{error}");
        let error = soon("a hold", || larder::blocking::hold(["x"])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        let written = soon("a write", || larder::blocking::writing(["x"], || Ok::<_, String>(7)));
        assert_eq!(written, Ok(7));
        assert_eq!(soon("a miss after it", || remembered(1)), 3);
        let before = REFRESHES.load(Ordering::SeqCst);
        assert!(soon("an old value", refreshed) <= before);
        until("a background run", || REFRESHES.load(Ordering::SeqCst) > before);
        assert_eq!(soon("an old value after the timeout", impatient), Ok(7));
        assert!(!soon("health", || redis.health()).connected);
        soon("closing", || block_on(cache.close()));
        let new = soon("a new connection", || block_on(builder().connect())).unwrap();
        let cache = Cache::builder().backend(new.clone()).build().unwrap();
        assert_eq!(soon("a hit in Redis", || cache.with_sync(|| remembered(3))), 4);
        assert!(new.health().connected);
        soon("dropping", || drop((redis.clone(), cache)));
    };
    assert!(in_child(child), "see what the child said");

    // Nothing of it has reached the parent.
    let server_sees = || server.raw().info("clients", "connected_clients");
    until("the child's connections are gone", || server_sees() == connections);
    assert!(redis.health().connected && redis.health().reconnects == 0, "{:?}", redis.health());
    drop(open);
    assert_eq!(leads.join().unwrap(), 1);
    assert_eq!(remembered(1), 1);
    assert_eq!(remembered(4), 2);
    block_on(larder::reset()).unwrap();
    assert_eq!(remembered(4), 3);
}
