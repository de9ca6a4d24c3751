//! How a function is called in keys and tags.

/// Where an annotated function stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The path of its module.
    pub module: &'static str,
    /// The line of its attribute, or of what that comes from.
    pub line: u32,
    /// The same of the column.
    pub column: u32,
    /// A hash of its code: what a macro makes has one line and column.
    pub code: u64,
}

/// How a function is called in keys and tags.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Names {
    /// The function, whatever its type parameters: the `name` option, or its path without them.
    pub(crate) function: String,
    /// The function with its type parameters; of one that stands in another function, with its place.
    pub(crate) identity: String,
    /// It is generic over the type of a closure or an `async` block: those of one function have one name.
    pub(crate) of_closure: bool,
}

impl Names {
    /// From the path of a closure inside `helper`, which speaks for `function`.
    pub(crate) fn new(path: &str, helper: &str, function: &str, name: Option<&str>, place: Place) -> Self {
        let mut path = path;
        while let Some(outer) = path.strip_suffix("::{{closure}}") {
            path = outer;
        }
        let start = last_segment(path);
        let (module, segment) = path.split_at(start);
        let segment = match segment.strip_prefix(helper) {
            Some(generics) => format!("{function}{generics}"),
            None => segment.to_owned(),
        };
        let identity = format!("{module}{segment}");
        let plain = without_generics(&identity);
        let of_closure = is_of_a_closure(&identity);
        match name {
            None if is_inner(&plain, place.module) => {
                let Place { line, column, code, .. } = place;
                let identity = format!("{identity} at {line}:{column} {code:x}");
                Self { function: plain, identity, of_closure }
            }
            None => Self { function: plain, identity, of_closure },
            Some(name) if plain == identity => {
                Self { function: name.to_owned(), identity: name.to_owned(), of_closure }
            }
            Some(name) => Self { function: name.to_owned(), identity: format!("{name} {identity}"), of_closure },
        }
    }
}

/// Whether the type of a closure or an `async` block stands in brackets. (Types that are declared in one have more behind.)
fn is_of_a_closure(path: &str) -> bool {
    const CLOSURE: &str = "{{closure}}";
    at_depths(path).any(|(at, _, depth)| {
        let rest = path.get(at..).and_then(|rest| rest.strip_prefix(CLOSURE));
        depth > 0 && rest.is_some_and(|rest| !rest.starts_with("::"))
    })
}

/// Whether the function may stand in another one, which may have several of its path, in blocks: methods of types and traits
/// that do are such as well. All are but those that are known to stand in a module or in an impl there, by the capitals that
/// types have.
fn is_inner(path: &str, module: &str) -> bool {
    let in_module = |path: &str| path.strip_prefix(module).and_then(|path| path.strip_prefix("::").map(str::to_owned));
    let start = last_segment(path);
    let before = path.get(..start.saturating_sub(2)).unwrap_or_default();
    // Of `<T as Trait>`, what is of this module.
    let names_inner = |brackets: &str| {
        let names = brackets.split(|letter: char| !(letter.is_alphanumeric() || "_:#{}".contains(letter)));
        names.filter_map(in_module).any(|name| name.contains("::"))
    };
    if before.starts_with('<') {
        return last_segment(before) > 0 || names_inner(before);
    }
    if before == module {
        return false;
    }
    let Some(of) = in_module(before) else { return true };
    let is_type = of.starts_with(char::is_uppercase) && (of.len() == 1 || of.contains(char::is_lowercase));
    // `<impl T>` is written for types of elsewhere.
    last_segment(&of) > 0 || !(is_type || of.starts_with('<'))
}

/// Where the last segment of a path begins, not counting what stands in brackets.
fn last_segment(path: &str) -> usize {
    at_depths(path).filter(|(_, letter, depth)| (*letter, *depth) == (':', 0)).last().map_or(0, |(at, ..)| at + 1)
}

/// The path's letters but those of characters that it is generic over, each with its place and how many brackets are open.
fn at_depths(path: &str) -> impl Iterator<Item = (usize, char, usize)> {
    let (mut depth, mut before) = (0_usize, ' ');
    letters(path).filter(|(.., is_literal)| !is_literal).map(move |(at, letter, _)| {
        match letter {
            '<' | '(' | '[' => depth += 1,
            '>' if before == '-' => {}
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        before = letter;
        (at, letter, depth)
    })
}

/// The path's letters, each with its place, and whether it is of a character that the path is generic over, as in `f<'>'>`.
fn letters(path: &str) -> impl Iterator<Item = (usize, char, bool)> {
    let mut end = 0;
    path.char_indices().map(move |(at, letter)| {
        if at >= end {
            end = at + literal(path, at);
        }
        (at, letter, at < end)
    })
}

/// How long the character is that is written here, with its quotes; zero if there is none. (`'_` may stand there as well.)
fn literal(path: &str, at: usize) -> usize {
    let Some(inside) = path.get(at..).and_then(|rest| rest.strip_prefix('\'')) else { return 0 };
    let first = inside.chars().next().map_or(0, char::len_utf8);
    // The one behind a backslash is no end.
    let from = if inside.starts_with('\\') { first + 1 } else { first };
    match inside.get(from..).and_then(|rest| rest.find('\'')) {
        Some(end) if end == 0 || inside.starts_with('\\') => 1 + from + end + 1,
        _ => 0,
    }
}

/// The path without type arguments: `a::Foo<u8>::get<i32>` → `a::Foo::get`, `<a::Foo<u8> as a::Tr>::get` →
/// `<a::Foo as a::Tr>::get`.
fn without_generics(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut dropped = 0_usize;
    let mut before = ' ';
    // Of the brackets that stay, those that are open.
    let mut kept = 0_usize;
    for (_, letter, is_literal) in letters(path) {
        let opens_arguments = before.is_alphanumeric() || before == '_' || before == ':' && kept > 0;
        match letter {
            _ if is_literal && dropped == 0 => plain.push(letter),
            _ if is_literal => {}
            '<' if dropped > 0 || opens_arguments => dropped += 1,
            '<' => {
                kept += 1;
                plain.push(letter);
            }
            '>' if before == '-' && dropped > 0 => {}
            '>' if dropped > 0 => dropped -= 1,
            '>' => {
                kept = kept.saturating_sub(1);
                plain.push(letter);
            }
            _ if dropped > 0 => {}
            _ => plain.push(letter),
        }
        before = letter;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Place = Place { module: "a", line: 7, column: 5, code: 10 };

    fn names(path: &str, function: &str, name: Option<&str>) -> (String, String) {
        let names = Names::new(path, function, function, name, AT);
        (names.function, names.identity)
    }

    #[test]
    fn a_name_is_the_path_without_type_arguments() {
        let same = |path: &str| (path.to_owned(), path.to_owned());
        assert_eq!(names("a::get::{{closure}}", "get", None), same("a::get"));
        assert_eq!(names("a::get::{{closure}}::{{closure}}", "get", None), same("a::get"));
        assert_eq!(names("a::<impl a::x::B>::z::{{closure}}", "z", None), same("a::<impl a::x::B>::z"));
        assert_eq!(
            names("a::Foo<alloc::vec::Vec<u8>>::get<fn(u8) -> u8, 3>::{{closure}}", "get", None),
            ("a::Foo::get".into(), "a::Foo<alloc::vec::Vec<u8>>::get<fn(u8) -> u8, 3>".into())
        );
        assert_eq!(
            names("<a::Foo<u8> as a::Tr<b::C>>::t::{{closure}}", "t", None),
            ("<a::Foo as a::Tr>::t".into(), "<a::Foo<u8> as a::Tr<b::C>>::t".into())
        );
    }

    #[test]
    fn a_helper_speaks_for_its_function() {
        let of_helper = Names::new("a::Foo<u8>::invalidate_get<i8>::{{closure}}", "invalidate_get", "get", None, AT);
        assert_eq!(of_helper, Names::new("a::Foo<u8>::get<i8>::{{closure}}", "get", "get", None, AT));
        let of_all = Names::new("a::Foo<u8>::invalidate_all_get::{{closure}}", "invalidate_all_get", "get", None, AT);
        assert_eq!(of_all.function, "a::Foo::get");
    }

    #[test]
    fn a_given_name_keeps_type_arguments_apart() {
        assert_eq!(names("a::get::{{closure}}", "get", Some("users")), ("users".into(), "users".into()));
        assert_eq!(names("a::get<u8>::{{closure}}", "get", Some("users")), ("users".into(), "users a::get<u8>".into()));
    }

    #[test]
    fn functions_inside_of_functions_are_called_by_their_place() {
        let at = |path: &str| names(&format!("{path}::{{{{closure}}}}"), last(path), None);
        fn last(path: &str) -> &str {
            path.rsplit("::").next().unwrap()
        }
        let inner = [
            "a::outer::f",
            "a::outer::{{closure}}::f",
            "a::_::f",
            "a::PAIR::f",
            "a::outer::Type::f",
            "b::inside::f",
            "<a::outer::T as a::Tr>::f",
            "<u8 as a::outer::Tr>::f",
            "<a::T as a::Tr>::method::f",
        ];
        for path in inner {
            assert_eq!(at(path), (path.into(), format!("{path} at 7:5 a")));
        }
        let elsewhere = ["a::f", "a::Type::f", "a::<impl b::T>::f", "<a::T as a::Tr>::f", "<u8 as b::c::Tr>::f"];
        for path in elsewhere {
            assert_eq!(at(path), (path.into(), path.into()));
        }
        assert_eq!(names("a::outer::f::{{closure}}", "f", Some("n")), ("n".into(), "n".into()));
    }

    #[test]
    fn closures_have_no_names() {
        let is = |path: &str| Names::new(path, "f", "f", None, AT).of_closure;
        assert!(is("a::f<a::main::{{closure}}>::{{closure}}") && is("a::T<[a::main::{{closure}}]>::f::{{closure}}"));
        assert!(is("<a::main::{{closure}} as a::Tr>::f") && is("<(a::main::{{closure}},) as a::Tr>::f"));
        assert!(!is("a::f<u8>::{{closure}}") && !is("a::main::{{closure}}::f<u8>::{{closure}}"));
        assert!(!is("a::f<a::main::{{closure}}::Here>::{{closure}}"));
        assert!(!Names::new("a::f", "f", "f", Some("x<{{closure}}>"), AT).of_closure);
    }
}
