//! Processes whose runs wait for each other: no fault, and nobody waits for ever.

use larder_testbed::Server;

use crate::support::{NO_MEMORY, Options, WaitsForLease, workers};

/// Each holds what the other one needs. Who has waited for long runs the body itself.
#[test]
fn two_that_call_each_other() {
    let server = Server::start();
    let [a, b] = workers(&server, Options { lease: 600, ..NO_MEMORY });
    for id in 0..3 {
        let (left, right) = (format!("left {id}"), format!("right {id}"));
        let (of_a, of_b) = (a.call(&left), b.call(&right));
        let (run_a, run_b) = (a.run(), b.run());
        run_a.ends("further");
        run_b.ends("further");
        a.serves("value");
        b.serves("value");
        let (of_a, of_b) = (of_a.answer(), of_b.answer());
        assert!(["left of value", "left of right of value"].contains(&&*of_a), "{of_a}");
        assert!(["right of value", "right of left of value"].contains(&&*of_b), "{of_b}");
        assert!(of_a == "left of value" || of_b == "right of value");
        // Both were stored, and nobody has anything else.
        assert_eq!((b.hit(&left), a.hit(&right)), (of_a, of_b));
        a.holds();
        b.holds();
    }
}

/// Not from within a run that others may wait for: then it is no circle, however long it takes.
#[test]
fn one_that_holds_nothing_waits_on() {
    let server = Server::start();
    let [a, b] = workers(&server, Options { lease: 600, ..NO_MEMORY });
    let of_a = a.call("left 7");
    let run = a.run();
    let waits = WaitsForLease::on(&server);
    let of_b = b.call("left 7");
    waits.until_it_does();
    // There is no event to wait for: nothing is to happen, for several lives of the lease. It is long enough to be renewed
    // in time by a process that the machine has little time for.
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(b.begun().is_none(), "b runs too");
    run.ends("value");
    assert_eq!((of_a.answer(), of_b.answer()), ("value".to_owned(), "value".to_owned()));
}
