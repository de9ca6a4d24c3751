//! What happens to connections.

use std::io;
use std::time::{Duration, Instant};

use larder_testbed::{Fate, Kind};

use super::{Done, any_worker, command, pause, raw, sleep};
use crate::check::Check;
use crate::random::Random;
use crate::truth::now;

/// What ends a run, by the scripts that give its lease back.
const ENDS: [&str; 2] = [
    concat!(
        include_str!("../../../cache-redis/src/scripts/held.lua"),
        include_str!("../../../cache-redis/src/scripts/release.lua")
    ),
    concat!(
        include_str!("../../../cache-redis/src/scripts/held.lua"),
        include_str!("../../../cache-redis/src/scripts/store.lua")
    ),
];

/// How many connections were killed.
pub(super) fn kill(check: &Check, which: &[&str]) -> Done {
    command(check, &[&["CLIENT", "KILL"], which, &["SKIPME", "yes"]].concat())
}

pub(super) fn kill_one_client(check: &mut Check, random: &mut Random) -> Done {
    let list = raw(check)?.try_command(&["CLIENT", "LIST"])?.text();
    let ids: Vec<_> = list.lines().filter_map(|line| line.strip_prefix("id=")?.split(' ').next()).collect();
    match random.pick(&ids) {
        Some(id) => kill(check, &["ID", id]),
        None => Ok(0),
    }
}

pub(super) fn deaf_and_asleep(check: &mut Check, random: &mut Random) -> Done {
    let mut killed = 0;
    for _ in 0..random.below(5) {
        killed += kill(check, &["TYPE", "pubsub"])?;
        pause(random, 100);
    }
    killed += kill(check, &["TYPE", "pubsub"])?;
    sleep(check, random)?;
    Ok(killed)
}

/// Whenever it has found a connection to listen on, that is cut.
pub(super) fn keep_deaf(check: &mut Check, random: &mut Random) -> Done {
    let user = check.user(any_worker(check, random));
    let until = Instant::now() + Duration::from_millis(random.below(2_000));
    let mut killed = 0;
    while Instant::now() < until {
        killed += kill(check, &["TYPE", "pubsub", "USER", &user])?;
        pause(random, 60);
    }
    Ok(killed)
}

pub(super) fn forbid_to_listen(check: &mut Check, random: &mut Random) -> Done {
    let user = check.user(any_worker(check, random));
    // This ends the connections that listen.
    let listening = |check: &Check| -> Result<usize, Box<dyn std::error::Error>> {
        let list = raw(check)?.try_command(&["CLIENT", "LIST", "TYPE", "pubsub"])?.text();
        let words = format!(" user={user} ");
        Ok(list.lines().filter(|line| line.contains(&words)).count())
    };
    let before = listening(check)?;
    command(check, &["ACL", "SETUSER", &user, "resetchannels"])?;
    kill(check, &["TYPE", "pubsub", "USER", &user])?;
    pause(random, 2_000);
    let lost = before.saturating_sub(listening(check)?);
    command(check, &["ACL", "SETUSER", &user, "allchannels"])?;
    Ok(lost as u64)
}

/// Leases are held meanwhile, and their runs come to an end.
pub(super) fn refuse_connections(check: &mut Check, random: &mut Random) -> Done {
    let kinds: &[Kind] = if random.permille(500) { &[Kind::Commands, Kind::Messages] } else { &[Kind::Commands] };
    let cut: usize = kinds.iter().map(|kind| check.proxy.connections(*kind)).sum();
    cut_off(check, random, kinds, 1_000)?;
    Ok(cut as u64)
}

/// Ends the connections of these kinds, and refuses new ones for so many milliseconds at most.
fn cut_off(check: &Check, random: &mut Random, kinds: &[Kind], most: u64) -> io::Result<()> {
    let began = now();
    check.proxy.refuse();
    kinds.iter().for_each(|kind| check.proxy.cut(*kind));
    pause(random, most);
    check.proxy.accept();
    check.board.was_cut_off(now() - began)
}

/// The connection is cut at the end of a run: mostly before the server hears of that, so that it believes in the lease. Then
/// there may be no other connection for a moment.
pub(super) fn lose_releases(check: &mut Check, random: &mut Random) -> Done {
    let mut raw = raw(check)?;
    let mut names = Vec::new();
    for script in ENDS {
        names.push(raw.try_command(&["SCRIPT", "LOAD", script])?.text());
    }
    let before = check.proxy.fates_met();
    for _ in 0..=random.below(5) {
        let fate = random.pick(&[Fate::Unsent, Fate::Unsent, Fate::Lost]).copied().unwrap_or(Fate::Unsent);
        let Some(name) = random.pick(&names).filter(|name| !name.is_empty()) else { continue };
        let (met, until) = (check.proxy.fates_met(), Instant::now() + Duration::from_millis(200));
        check.proxy.next_reply(name.as_bytes(), fate);
        while check.proxy.fates_met() == met && Instant::now() < until {
            pause(random, 2);
        }
        if random.permille(300) {
            cut_off(check, random, &[Kind::Commands], 500)?;
        }
    }
    check.proxy.forget_fates();
    Ok((check.proxy.fates_met() - before) as u64)
}
