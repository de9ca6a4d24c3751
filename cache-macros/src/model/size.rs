//! Sizes in bytes: `"64MiB"`.

/// Units with their bytes.
const UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// The number of bytes, or what is wrong.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '_')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number.is_empty() {
        return Err("expected a size such as \"64MiB\" or \"500kB\"".to_owned());
    }
    if unit.is_empty() {
        return Err(format!(
            "the unit is missing after `{number}`: \"{number}MiB\", or {number} without quotes for bytes"
        ));
    }
    let Some((_, size)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(unknown_unit(number, unit));
    };
    let number = number.replace('_', "");
    let bytes = number.parse().ok().and_then(|number: u64| number.checked_mul(*size));
    bytes.ok_or_else(|| "this size is too large".to_owned())
}

fn unknown_unit(number: &str, unit: &str) -> String {
    if unit.starts_with('.') {
        return "a size is a whole number: take a smaller unit, as in \"1536MiB\" for \"1.5GiB\"".to_owned();
    }
    let (spaced, unit) = (unit, unit.trim());
    if spaced != unit && UNITS.iter().any(|(name, _)| *name == unit) {
        return format!("write sizes without spaces: \"{number}{unit}\"");
    }
    let first = unit.chars().next().unwrap_or_default().to_ascii_lowercase();
    let rest = unit.get(1..).unwrap_or_default().to_ascii_lowercase();
    let meant = match ("kmgt".find(first), rest.as_str()) {
        (Some(_), "" | "b" | "ib" | "i") => {
            let binary = first.to_ascii_uppercase();
            let decimal = if first == 'k' { first } else { binary };
            format!(": did you mean \"{number}{decimal}B\" or \"{number}{binary}iB\"?")
        }
        (None, "" | "yte" | "ytes") if first == 'b' => format!(": did you mean \"{number}B\"?"),
        _ => ".".to_owned(),
    };
    format!("unknown unit `{unit}`{meant} Units are B, kB, MB, GB, TB, KiB, MiB, GiB and TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse("64MiB"), Ok(64 << 20));
        assert_eq!(parse("64MB"), Ok(64_000_000));
        assert_eq!(parse("1GB"), Ok(1_000_000_000));
        assert_eq!(parse("1_000B"), Ok(1_000));
        for (text, message) in [
            ("", "expected a size"),
            ("MB", "expected a size"),
            ("64", "unit is missing"),
            ("64M", "unknown unit `M`: did you mean \"64MB\" or \"64MiB\"?"),
            ("64 MB", "without spaces: \"64MB\""),
            ("1 KB", "without spaces: \"1KB\""),
            ("1 k", "did you mean \"1kB\" or \"1KiB\"?"),
            ("1kb", "did you mean \"1kB\" or \"1KiB\"?"),
            ("1GIB", "did you mean \"1GB\" or \"1GiB\"?"),
            ("9bytes", "did you mean \"9B\"?"),
            ("9µ", "unknown unit `µ`. Units are"),
            ("1.5GB", "a whole number"),
            ("99999999999TiB", "too large"),
            ("99999999999999999999999B", "too large"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
