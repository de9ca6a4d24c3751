//! When somebody waits for a lease, as the server sees it.

use larder_testbed::{Raw, Server};

/// Sees the looks at leases. Whoever waits looks once, when nothing that happens to the lease can be missed any more.
pub struct Looks(Raw);

impl Looks {
    pub fn at(server: &Server) -> Self {
        let mut raw = server.raw();
        raw.command(&["MONITOR"]);
        Self(raw)
    }

    /// The next so many.
    pub async fn seen(mut self, count: usize) {
        let see = move || {
            for _ in 0..count {
                while !is_look(&self.0.next().unwrap().text()) {}
            }
        };
        tokio::task::spawn_blocking(see).await.unwrap();
    }

    /// How many there were by now.
    pub fn count(mut self, server: &Server) -> usize {
        const END: &str = "the end of the looks";
        server.command(&["ECHO", END]);
        let commands = std::iter::from_fn(|| Some(self.0.next().unwrap().text()));
        commands.take_while(|command| !command.contains(END)).filter(|command| is_look(command)).count()
    }
}

fn is_look(command: &str) -> bool {
    !command.contains(" lua] ") && command.contains(r#""GET" "#) && command.ends_with(r#"}:l""#)
}
