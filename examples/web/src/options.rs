//! The command line.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;

const USAGE: &str = "larder-example-web [--listen ADDRESS:PORT] [--database FILE] [--redis URL]";

/// Looks an option up by its name, with a default.
pub(crate) fn parse() -> Result<impl Fn(&str, &str) -> String, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let pairs = arguments.chunks(2).map(|pair| match pair {
        [name, value] if ["--listen", "--database", "--redis"].contains(&name.as_str()) => {
            Ok((name.clone(), value.clone()))
        }
        _ => Err(USAGE),
    });
    let given = pairs.collect::<Result<BTreeMap<_, _>, _>>()?;
    Ok(move |name: &str, default: &str| given.get(name).cloned().unwrap_or_else(|| default.to_owned()))
}
