//! What a server says of itself: `INFO`, and `CONFIG GET` where that is allowed.

use std::collections::HashMap;

use fred::types::Value;

use crate::server::Server;

/// Of one server.
pub(crate) struct Facts {
    info: HashMap<String, String>,
    /// Why `CONFIG` can't be used, if so.
    pub(crate) config: Result<HashMap<String, String>, String>,
}

/// The options that matter.
const OPTIONS: [&str; 4] = ["maxmemory-policy", "notify-keyspace-events", "min-replicas-to-write", "appendonly"];

impl Facts {
    pub(crate) async fn of(server: &Server) -> Self {
        let info = match server.command(&["INFO"]).await {
            Ok(text) => text.as_string().unwrap_or_default(),
            Err(_) => String::new(),
        };
        let info = info.lines().filter_map(|line| line.trim_end().split_once(':'));
        let info = info.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut config = Ok(HashMap::new());
        for option in OPTIONS {
            match (server.command(&["CONFIG", "GET", option]).await, &mut config) {
                (Ok(answer), Ok(config)) => config.extend(pairs(answer)),
                (Err(why), Ok(_)) => config = Err(why),
                (_, Err(_)) => {}
            }
        }
        Self { info, config }
    }

    /// A field of `INFO`.
    pub(crate) fn info(&self, field: &str) -> Option<&str> {
        self.info.get(field).map(String::as_str)
    }

    pub(crate) fn number(&self, field: &str) -> Option<u64> {
        self.info(field)?.parse().ok()
    }

    /// An option, if it may be looked at.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.config.as_ref().ok()?.get(name).map(String::as_str)
    }
}

/// The answer of `CONFIG GET`, a list or a map.
fn pairs(answer: Value) -> Vec<(String, String)> {
    match answer {
        Value::Map(map) => {
            map.inner().into_iter().filter_map(|(k, v)| Some((k.into_string()?, v.into_string()?))).collect()
        }
        Value::Array(list) => {
            let texts: Vec<String> = list.into_iter().filter_map(Value::into_string).collect();
            texts.chunks_exact(2).filter_map(|pair| Some((pair.first()?.clone(), pair.get(1)?.clone()))).collect()
        }
        _ => Vec::new(),
    }
}
