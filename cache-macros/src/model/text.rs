//! Strings with arguments in braces, as `format!` reads them.

/// What a string literal means.
#[derive(Debug, PartialEq)]
pub(super) enum Text {
    /// No arguments; escapes (`{{`) are resolved.
    Plain(String),
    /// The names of the arguments, in order.
    Format(Vec<String>),
}

/// Reads it, or says what is wrong.
pub(super) fn text(literal: &str) -> Result<Text, String> {
    let mut plain = String::new();
    let mut names = Vec::new();
    let mut rest = literal;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        if let Some(after) = from.strip_prefix("{{") {
            plain.push('{');
            rest = after;
        } else if let Some(after) = from.strip_prefix("}}") {
            plain.push('}');
            rest = after;
        } else if let Some(after) = from.strip_prefix('{') {
            let Some((inside, after)) = after.split_once('}') else {
                return Err("`{` without `}`: name an argument, as in `{id}`, or write `{{` for a brace".to_owned());
            };
            names.push(name(inside)?.to_owned());
            rest = after;
        } else {
            return Err("`}` without `{`: write `}}` for a brace".to_owned());
        }
    }
    plain.push_str(rest);
    Ok(if names.is_empty() { Text::Plain(plain) } else { Text::Format(names) })
}

/// The names that any string given to `format!` mentions, whatever else is in its braces; widths and precisions
/// (`{:>width$}`) among them.
pub(super) fn names(literal: &str) -> impl Iterator<Item = String> {
    let literal = literal.replace("{{", "").replace("}}", "");
    let mut names = Vec::new();
    for inside in literal.split('{').skip(1).filter_map(|part| part.split('}').next()) {
        let (name, format) = inside.split_once(':').unwrap_or((inside, ""));
        let counts = format.rsplit_once('$').into_iter().flat_map(|(counts, _)| counts.split('$')).map(last_word);
        names.extend([name.trim_end()].into_iter().chain(counts).filter(|name| is_ident(name)).map(str::to_owned));
    }
    names.into_iter()
}

/// `width` in `>0width`
fn last_word(text: &str) -> &str {
    let start = text.rfind(|c: char| !(c == '_' || c.is_alphanumeric())).and_then(|at| text.get(at..));
    let word = start.map_or(text, |word| word.trim_start_matches(|c: char| !(c == '_' || c.is_alphanumeric())));
    word.trim_start_matches(|c: char| c.is_ascii_digit())
}

/// The name in `{name:format}`.
fn name(inside: &str) -> Result<&str, String> {
    let name = inside.split_once(':').map_or(inside, |(name, _)| name).trim_end();
    if name.is_empty() {
        return Err("empty braces: name an argument, as in `{id}`, or write `{{}}` for braces".to_owned());
    }
    if name.chars().all(|c| c.is_ascii_digit()) {
        return Err(format!("`{{{name}}}` counts arguments: name one, as in `{{id}}`"));
    }
    if !is_ident(name) {
        return Err(format!(
            "`{{{name}}}` is not a name: braces hold names of arguments; for more, use a tuple, as in `(\"user\", user.id)`"
        ));
    }
    Ok(name)
}

fn is_ident(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first == '_' || first.is_alphabetic())
        && chars.all(|c| c == '_' || c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_read_as_format_does() {
        assert_eq!(text("users"), Ok(Text::Plain("users".into())));
        assert_eq!(text("a{{b}}c"), Ok(Text::Plain("a{b}c".into())));
        assert_eq!(text("user:{id}"), Ok(Text::Format(vec!["id".into()])));
        assert_eq!(text("{a}{{{b:>4}"), Ok(Text::Format(vec!["a".into(), "b".into()])));
        for (literal, message) in [
            ("{}", "empty braces"),
            ("{:?}", "empty braces"),
            ("{0}", "counts arguments"),
            ("{user.id}", "is not a name"),
            ("{", "without `}`"),
            ("user:{id", "without `}`"),
            ("}", "without `{`"),
            ("{id}}", "without `{`"),
        ] {
            let error = text(literal).unwrap_err();
            assert!(error.contains(message), "{literal}: {error}");
        }
    }
}
