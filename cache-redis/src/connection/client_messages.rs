//! fred passes on network errors as Rust's debug text. Here they become text that a person can read.

use std::io;

/// ```text
/// Os { code: 111, kind: ConnectionRefused, message: "Connection refused" }      Connection refused (os error 111)
/// Custom { kind: InvalidData, error: InvalidCertificate(UnknownIssuer) }        invalid certificate (unknown issuer)
/// Custom { kind: UnexpectedEof, error: "tls handshake eof" }                    tls handshake eof
/// Kind(UnexpectedEof)                                                           unexpected eof
/// ```
pub(super) fn plain(details: &str) -> String {
    if let Some(code) = details.strip_prefix("Os { code: ").and_then(|rest| rest.split(',').next()?.parse().ok()) {
        return io::Error::from_raw_os_error(code).to_string();
    }
    if let Some(custom) = details.strip_prefix("Custom { kind: ").and_then(|rest| rest.strip_suffix(" }")) {
        let error = custom.split_once("error: ").map_or(custom, |(_, error)| error);
        return match error.strip_prefix('"').and_then(|error| error.strip_suffix('"')) {
            Some(text) => text.replace("\\\"", "\""),
            None => spelled_out(error),
        };
    }
    match details.strip_prefix("Kind(").and_then(|rest| rest.strip_suffix(')')) {
        Some(kind) => spelled_out(kind),
        None => details.to_owned(),
    }
}

/// Names of variants as client_messages: `InvalidCertificate(UnknownIssuer)` as "invalid certificate (unknown issuer)".
fn spelled_out(debug: &str) -> String {
    let mut out = String::with_capacity(debug.len() + 8);
    let mut before = ' ';
    for char in debug.chars() {
        if before.is_lowercase() && (char.is_uppercase() || char == '(') {
            out.push(' ');
        }
        // Abbreviations stay.
        if char.is_uppercase() && !before.is_uppercase() {
            out.extend(char.to_lowercase());
        } else {
            out.push(char);
        }
        before = char;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_network() {
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(plain(&format!("{refused:?}")), refused.to_string());
        assert_eq!(plain(&format!("{:?}", io::Error::from(io::ErrorKind::UnexpectedEof))), "unexpected eof");
        let said = io::Error::new(io::ErrorKind::UnexpectedEof, "tls \"handshake\" eof");
        assert_eq!(plain(&format!("{said:?}")), "tls \"handshake\" eof");
        assert_eq!(
            plain("Custom { kind: InvalidData, error: InvalidCertificate(UnknownIssuer) }"),
            "invalid certificate (unknown issuer)"
        );
        for text in ["", "Os { code: x }", "Kind(", "Custom { kind: ", "Unexpectedly closed"] {
            assert_eq!(plain(text), text);
        }
    }
}
