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
        return Err(format!("unknown unit `{unit}`; units are B, kB, MB, GB, TB, KiB, MiB, GiB and TiB"));
    };
    let number = number.replace('_', "");
    let bytes = number.parse().ok().and_then(|number: u64| number.checked_mul(*size));
    bytes.ok_or_else(|| "this size is too large".to_owned())
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
            ("64M", "unknown unit `M`"),
            ("64 MB", "unknown unit ` MB`"),
            ("99999999999TiB", "too large"),
            ("99999999999999999999999B", "too large"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
