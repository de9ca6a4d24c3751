//! The real server: sets its state, runs the real scripts, and reads the state back.

use bytes::Bytes;
use cache_core::backend::TagId;
use larder_testbed::{Raw, Server, Value};

use super::{BUCKETS, KEY, LONG_AGO, MOST, is_about};
use crate::connection::Reply as RealReply;
use crate::keys::{FLOOR, HOLDS, Names, field, hash_text};
use crate::protocol::application::{Key, Tag};
use crate::protocol::server::{
    Bucket, Busy, Command, DAMAGED, HeldTags, Holds, LOST, Lease, Published, Redis, Reply, Stored,
};
use crate::scripts::{self, Script};
use crate::sequence::{FAR, LEAP};
use crate::tag_buckets::Question;

pub(super) struct Real {
    raw: Raw,
    ear: Raw,
    names: Names,
}

impl Real {
    pub(super) fn new(server: &Server) -> Self {
        Self { raw: server.raw(), ear: server.raw().subscribe("*"), names: Names::new("p", 0) }
    }

    fn ask(&mut self, arguments: &[Bytes]) -> Value {
        let arguments: Vec<&[u8]> = arguments.iter().map(|argument| &argument[..]).collect();
        self.raw.try_bytes(&arguments).unwrap()
    }

    fn say(&mut self, name: &'static str, arguments: impl IntoIterator<Item = Bytes>) -> Value {
        self.ask(&[Bytes::from_static(name.as_bytes())].into_iter().chain(arguments).collect::<Vec<_>>())
    }

    pub(super) fn become_like(&mut self, model: &Redis) {
        self.say("FLUSHALL", []);
        if let Some(sequence) = model.sequence {
            self.say("SET", [self.names.sequence.clone(), stored_number(sequence)]);
        }
        for (index, bucket) in &model.buckets {
            let floor = bucket.floor.map(|floor| (Bytes::from_static(FLOOR), floor));
            let stamps = bucket.stamps.iter().map(|(tag, stamp)| (field(*tag), *stamp));
            let fields = floor.into_iter().chain(stamps).flat_map(|(field, stamp)| [field, stored_number(stamp)]);
            self.say("HSET", [self.names.bucket_at(*index)].into_iter().chain(fields));
        }
        for (key, entry) in &model.entries {
            self.say("SET", [self.names.entry(key.hash()), blob(entry)]);
        }
        if let Some(holds) = &model.holds {
            // Relative to the server's time now.
            let now = self.time();
            let ends =
                holds.iter().map(|(token, end)| (hold_token(*token), (now + end).saturating_sub(LONG_AGO) / 1_000));
            let ends = ends.flat_map(|(token, end)| [number(end), token]);
            let sentinel = [Bytes::from_static(b"+inf"), Bytes::from_static(b"-")];
            self.say("ZADD", [self.names.holds.clone()].into_iter().chain(sentinel).chain(ends));
        }
        for (token, tags) in &model.held {
            self.say("HSET", [self.held(), hold_token(*token), joined(tags)]);
        }
        for (key, lease) in &model.leases {
            let ends = lease.ends.map(|ends| [Bytes::from_static(b"PX"), number(ends / 1_000)]);
            self.say("SET", [self.names.lease(key.hash()), text(lease)].into_iter().chain(ends.into_iter().flatten()));
        }
    }

    /// Returns the reply, and the server's times before and after.
    pub(super) fn execute(&mut self, command: &Command, out_of_memory: bool) -> (Reply, u64, u64) {
        let limit = |limit: &'static [u8]| [&b"SET"[..], b"maxmemory", limit].map(Bytes::from_static);
        if out_of_memory {
            self.say("CONFIG", limit(b"1"));
        }
        let from = self.time();
        let reply = self.answer(command);
        let to = self.time();
        if out_of_memory {
            self.say("CONFIG", limit(b"0"));
        }
        (reply, from, to)
    }

    fn answer(&mut self, command: &Command) -> Reply {
        let (script, keys, arguments) = match command {
            Command::GetTags(tags) => return self.tags(tags),
            Command::GetLease(key) => {
                let held = self.say("GET", [self.names.lease(key.hash())]).text();
                return Reply::Holder(crate::lease::holder(held.as_bytes()).filter(|_| !held.is_empty()).map(
                    |(token, asked)| (u64::from_str_radix(std::str::from_utf8(token).unwrap(), 16).unwrap(), asked),
                ));
            }
            script => self.script(script),
        };
        let script = [Bytes::from_static(script.source.as_bytes()), number(keys.len() as u64)];
        match self.say("EVAL", script.into_iter().chain(keys).chain(arguments)) {
            Value::Number(number) => Reply::Number(number),
            Value::List(pair) if matches!(pair[..], [Value::Number(_), Value::Number(_)]) => {
                Reply::Pair(pair[0].number(), pair[1].number())
            }
            // The third is the server's time, which the model has no use for.
            Value::List(answers) if matches!(answers[..], [Value::Number(0), Value::Number(_), Value::Number(_)]) => {
                Reply::Pair(0, answers[1].number())
            }
            Value::List(held) => {
                let [by, left, unstored] = <[Value; 3]>::try_from(held).unwrap();
                let remaining = u64::try_from(left.number()).unwrap() * 1_000;
                let holder = u64::from_str_radix(&by.text(), 16).unwrap();
                Reply::Busy(Busy { holder, remaining, follows_unstored: unstored.number() == 1 })
            }
            Value::Error(error) if error.contains("OOM") => Reply::OutOfMemory,
            other => panic!("{command}: {other:?}"),
        }
    }

    /// The script with its keys and arguments, as the library sends them.
    fn script(&self, command: &Command) -> (&'static Script, Vec<Bytes>, Vec<Bytes>) {
        let names = &self.names;
        let sequence = |buckets: Vec<Bytes>| [names.sequence.clone()].into_iter().chain(buckets).collect();
        let buckets = |tags: &[TagId]| tags.iter().map(|tag| names.bucket(*tag)).collect();
        let settings =
            |told: u64| vec![number(told), names.bus.clone().into(), field(Tag::Everything.id()), number(MOST as u64)];
        let lease = |key: &Key| vec![names.lease(key.hash())];
        let both = |key: &Key| vec![names.entry(key.hash()), names.lease(key.hash())];
        let wakes = |by: &u64, key: &Key| {
            vec![token(*by), names.wake.clone().into(), Bytes::copy_from_slice(&hash_text(key.hash()))]
        };
        match command {
            Command::Stamp { told, tags } => {
                let arguments = settings(*told).into_iter().chain(tags.iter().copied().map(field)).collect();
                (&scripts::STAMP, sequence(buckets(tags)), arguments)
            }
            Command::Hold { told, author, token, duration, tags, .. } => {
                let mut arguments = settings(*told);
                arguments.extend([author.clone().into(), hold_token(*token), number(duration / 1_000), field(HOLDS)]);
                arguments.push(joined(tags));
                (&scripts::HOLD, sequence(buckets(&[HOLDS])), arguments)
            }
            Command::Invalidate { told, author, no_sequence, tags, end_of, .. } => {
                let mut arguments = settings(*told);
                arguments.extend([author.clone().into(), number(u64::from(*no_sequence))]);
                arguments.push(end_of.map_or_else(Bytes::new, hold_token));
                arguments.extend(tags.iter().copied().map(field));
                (&scripts::INVALIDATE, sequence(buckets(tags)), arguments)
            }
            Command::Repair { least, author } => {
                let mut arguments = settings(*least);
                arguments.extend([author.clone().into(), number(LEAP), number(FAR)]);
                (&scripts::REPAIR, sequence(names.all_buckets().collect()), arguments)
            }
            Command::Lease { key, seen, token: by, duration, takes_over } => {
                let mut arguments = vec![Bytes::copy_from_slice(&seen.to_le_bytes()), token(*by)];
                arguments.extend([number(duration / 1_000), number(1), number(u64::from(*takes_over))]);
                arguments.extend_from_slice(&wakes(by, key)[1..]);
                (&scripts::LEASE, both(key), arguments)
            }
            Command::Renew { key, token: by, duration } => {
                (&scripts::RENEW, lease(key), vec![token(*by), number(duration / 1_000)])
            }
            Command::GiveUp { key, token } => (&scripts::GIVE_UP, lease(key), wakes(token, key)),
            Command::Release { key, token, unstored } => {
                let mut arguments = wakes(token, key);
                arguments.push(number(u64::from(*unstored)));
                (&scripts::RELEASE, lease(key), arguments)
            }
            Command::Store { key, token, entry } => {
                let mut arguments = wakes(token, key);
                arguments.extend([Bytes::new(), blob(entry)]);
                (&scripts::STORE, both(key), arguments)
            }
            other => unreachable!("{other} is no script"),
        }
    }

    fn held(&self) -> Bytes {
        let clock = String::from_utf8(self.names.sequence.to_vec()).unwrap();
        clock.replace(":clock", ":held").into()
    }

    /// The ends of the holds in microseconds, and their tags.
    fn holds(&mut self) -> (Holds, HeldTags) {
        let ends = self.say("ZRANGE", [self.names.holds.clone(), number(0), "-1".into(), "WITHSCORES".into()]).list();
        let pairs: Vec<_> = ends.chunks_exact(2).map(|pair| (pair[0].text(), pair[1].text())).collect();
        let is_there = pairs.iter().any(|(token, _)| token == "-");
        let ends = pairs.iter().filter(|(token, _)| token != "-");
        let ends = ends.map(|(token, end)| (read_hold_token(token), end.parse::<u64>().unwrap() * 1_000)).collect();
        let fields = self.say("HGETALL", [self.held()]).list();
        let tags = fields.chunks_exact(2).map(|pair| {
            let Value::Text(tags) = &pair[1] else { panic!("{pair:?}") };
            let tags = tags.as_chunks::<8>().0.iter().map(|tag| TagId(u64::from_le_bytes(*tag))).collect();
            (read_hold_token(&pair[0].text()), tags)
        });
        (is_there.then_some(ends), tags.collect())
    }

    /// Asked and understood by the library's own code.
    fn tags(&mut self, tags: &[TagId]) -> Reply {
        let question = Question::about(tags.iter().copied());
        let commands: Vec<_> = question.commands(&self.names).collect();
        let answers: Vec<_> = commands
            .into_iter()
            .map(|command| {
                let value = |value: Value| match value {
                    Value::Text(text) => Ok(RealReply::Text(text.into())),
                    _ => Ok(RealReply::Nil),
                };
                Ok(RealReply::List(self.say(command.name, command.args).list().into_iter().map(value).collect()))
            })
            .collect();
        let said = question.understand(answers.into_iter());
        Reply::Tags(tags.iter().map(|tag| (*tag, said.last(*tag).unwrap())).collect())
    }

    // --- the state -------------------------------------------------------------------------------------------------

    fn time(&mut self) -> u64 {
        let time = self.say("TIME", []).list();
        let [seconds, micros] = time.iter().map(|part| part.number() as u64).collect::<Vec<_>>()[..] else { panic!() };
        seconds * 1_000_000 + micros
    }

    pub(super) fn sequence(&mut self) -> Option<u64> {
        match self.say("GET", [self.names.sequence.clone()]) {
            Value::Nil => None,
            sequence => Some(read_number(&sequence)),
        }
    }

    fn bucket(&mut self, index: usize) -> Option<Bucket> {
        let mut bucket = Bucket::default();
        let fields = self.say("HGETALL", [self.names.bucket_at(index)]).list();
        for pair in fields.chunks_exact(2) {
            let [Value::Text(field), stamp] = pair else { panic!("{pair:?}") };
            match <[u8; 8]>::try_from(&field[..]) {
                Ok(tag) => drop(bucket.stamps.insert(TagId(u64::from_le_bytes(tag)), read_number(stamp))),
                Err(_) => bucket.floor = Some(read_number(stamp)),
            }
        }
        (!fields.is_empty()).then_some(bucket)
    }

    /// The lease's text, and its remaining life in microseconds.
    fn lease(&mut self) -> Option<(Bytes, Option<u64>)> {
        let name = self.names.lease(KEY.hash());
        let Value::Text(held) = self.say("GET", [name.clone()]) else { return None };
        let left = self.say("PTTL", [name]).number();
        Some((held.into(), u64::try_from(left).ok().map(|left| left * 1_000)))
    }

    /// The id of the entry.
    fn entry(&mut self) -> Option<u64> {
        match self.say("GET", [self.names.entry(KEY.hash())]) {
            Value::Text(blob) => Some(u64::from_le_bytes(blob[..8].try_into().unwrap())),
            _ => None,
        }
    }

    fn published(&mut self) -> Vec<Published> {
        self.say("PUBLISH", [Bytes::from_static(b"fence"), Bytes::new()]);
        let mut published = Vec::new();
        loop {
            let message = self.ear.next().unwrap().list();
            let [_, _, channel, Value::Text(payload)] = &message[..] else { continue };
            match channel.text() {
                channel if channel == self.names.bus => published.push(Published::Bus(payload.clone())),
                channel if channel == self.names.wake => published.push(Published::Wake(payload.clone())),
                _ => return published,
            }
        }
    }

    /// Describes how its state and messages differ from the model's.
    pub(super) fn differs_from(&mut self, model: &Redis) -> Option<String> {
        let mut differences = Vec::new();
        let mut compare = |what: &str, real: String, expected: String| {
            if real != expected {
                differences.push(format!("{what} is {real} instead of {expected}"));
            }
        };
        compare("the clock", format!("{:?}", self.sequence()), format!("{:?}", model.sequence));
        for index in BUCKETS {
            let expected = model.buckets.get(&index);
            compare("a bucket", format!("{:?}", self.bucket(index).as_ref()), format!("{expected:?}"));
        }
        let (holds, held) = self.holds();
        compare("what is held", format!("{held:?}"), format!("{:?}", model.held));
        let is_like = match (&holds, &model.holds) {
            (Some(real), Some(expected)) => {
                let mut ends = real.iter().zip(expected);
                real.len() == expected.len() && ends.all(|(a, b)| a.0 == b.0 && is_about(*a.1, *b.1))
            }
            (real, expected) => real.is_none() == expected.is_none(),
        };
        compare("whether the holds are the same", format!("{is_like}, {holds:?}"), format!("true, {holds:?}"));
        let expected = model.entries.get(&KEY).map(|entry| entry.id);
        compare("the entry", format!("{:?}", self.entry()), format!("{expected:?}"));
        compare("what is published", format!("{:?}", self.published()), format!("{:?}", model.published));
        let (real, expected) = (self.lease(), model.leases.get(&KEY));
        let held = real.as_ref().map(|(held, _)| held.clone());
        compare("the lease", format!("{held:?}"), format!("{:?}", expected.map(text)));
        let (left, ends) = (real.and_then(|(_, left)| left), expected.and_then(|lease| lease.ends));
        let is_about = match (left, ends) {
            (Some(left), Some(ends)) => is_about(left, ends - model.time),
            _ => left == ends,
        };
        compare("what is left of it", format!("{left:?}, {is_about}"), format!("{left:?}, true"));
        (!differences.is_empty()).then(|| differences.join("; "))
    }
}

fn number(number: u64) -> Bytes {
    number.to_string().into()
}

/// [`DAMAGED`] is any text that is no number.
fn stored_number(value: u64) -> Bytes {
    if value == DAMAGED { Bytes::from_static(b"1e3") } else { number(value) }
}

fn read_number(value: &Value) -> u64 {
    value.text().parse().unwrap_or(DAMAGED)
}

/// `*` is the hold on everything.
fn hold_token(hold: u64) -> Bytes {
    if hold == LOST { Bytes::from_static(b"*") } else { token(hold) }
}

fn read_hold_token(text: &str) -> u64 {
    if text == "*" { LOST } else { u64::from_str_radix(text, 16).unwrap() }
}

fn joined(tags: &[TagId]) -> Bytes {
    tags.iter().flat_map(|tag| tag.0.to_le_bytes()).collect()
}

fn token(token: u64) -> Bytes {
    format!("{token:032x}").into()
}

fn blob(entry: &Stored) -> Bytes {
    [&entry.id.to_le_bytes()[..], b"an entry"].concat().into()
}

/// The text of a lease; see `held.lua`.
fn text(lease: &Lease) -> Bytes {
    let run = |run: Option<u64>| run.map_or_else(|| "-".to_owned(), |run| format!("{run:032x}"));
    let mut text = run(lease.holder);
    if let Some(duration) = lease.duration {
        text = format!("{text} {} {}", duration / 1_000, run(lease.dead));
    }
    let flags = [("~", lease.unstored), ("?", lease.leaving), ("!", lease.awaited)];
    flags.into_iter().filter(|(_, is_set)| *is_set).for_each(|(flag, _)| text.push_str(flag));
    text.into()
}
