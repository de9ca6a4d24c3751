//! Mistakes of `key`.

use quote::quote;

use super::mistakes::{expect, option_function};

/// What is left of `key = "String", convert = ..`, and whatever else would give all callers one result.
#[test]
fn keys_that_are_the_same_for_all_calls() {
    let literal = "is the same for every call, so all calls would share one entry: to key by all arguments, leave `key` \
                   out; by some, name them: `key = (id, name)`; if all calls are to share one entry, write `key = ()`";
    for value in [
        quote!("String"),
        quote!("(usize, usize)"),
        quote!(("String")),
        quote!(("a", "b")),
        quote!(("a", (1, -2))),
        quote!(1),
        quote!(1.5),
        quote!(true),
        quote!('c'),
        quote!(b"x"),
        quote!(c"x"),
        quote!(r#"String"#),
        quote!(&"x"),
        quote!([1, 2]),
        quote!([0; 4]),
        quote!(1 as u8),
        quote!(!0),
    ] {
        expect(quote!(key = #value), &option_function(), &[literal]);
    }
    expect(quote!(key = "String", convert = "{ id }"), &option_function(), &["as the key, without quotes", literal]);
    let none = "mentions none of the arguments";
    for value in [
        quote!(String),
        quote!(TENANT),
        quote!(Self::ID),
        quote!((TENANT, 1)),
        quote!(((), 1, current())),
        quote!(concat!("a", "b")),
        quote!(format!("{TENANT}")),
        quote!(user.id),
        quote!(a::id),
        quote!({
            let id = 1;
            id
        }),
        quote!((|id: u8| id)(1)),
        quote!(match 1 {
            id => id,
        }),
    ] {
        expect(quote!(key = #value), &option_function(), &[none]);
    }
    for fine in [
        quote!(()),
        quote!((())),
        quote!(((), ())),
        quote!(id),
        quote!((TENANT, id)),
        quote!(("users", id)),
        quote!(format!("{id}")),
        quote!(format!("{:>id$}", 1)),
        quote!(format!("{}", id)),
        quote!(hash!(id)),
        quote!([id; 2]),
        quote!({
            let id = id + 1;
            id
        }),
        quote!((|id| id)(name)),
        quote!(Key { id, .. }),
        quote!(Key::of(&id)),
        quote!(if true { id } else { 0 }),
    ] {
        let found = super::mistakes_of(quote!(key = #fine), option_function());
        assert!(found.is_empty(), "{fine}: {found:?}");
    }
}

#[test]
fn keys_of_functions_that_have_other_arguments_or_none() {
    let method = quote!(
        fn f(&self) -> u8 {
            1
        }
    );
    expect(
        quote!(key = "a"),
        &method,
        &["name what tells calls apart: `key = (self.id)`; if all calls are to share one entry, write `key = ()`"],
    );
    expect(quote!(key = ID), &method, &["mentions none of the arguments"]);
    let without = quote!(
        fn f() -> u8 {
            1
        }
    );
    expect(quote!(key = "a"), &without, &["leave `key` out, as without arguments there is only one anyway"]);
    let skipped = quote!(
        fn f(&self, db: &Db) -> u8 {
            1
        }
    );
    let pattern = quote!(
        fn f(User { id, .. }: User) -> u8 {
            1
        }
    );
    for (options, item) in [
        (quote!(key = self), &method),
        (quote!(key = ()), &method),
        (quote!(key = ID, skip(self)), &method),
        (quote!(key = ID), &without),
        (quote!(key = ID, skip(self, db)), &skipped),
        (quote!(key = id), &pattern),
    ] {
        let text = options.to_string();
        let found = super::mistakes_of(options, item.clone());
        assert!(found.is_empty(), "{text}: {found:?}");
    }
    expect(quote!(key = ID, skip(self)), &skipped, &["mentions none of the arguments"]);
    expect(quote!(key = user), &pattern, &["mentions none of the arguments"]);
    expect(quote!(key = "user"), &pattern, &["leave `key` out; by some, name them: `key = (id)`; if all calls"]);
    let unnamed = quote!(
        fn f(_: User) -> u8 {
            1
        }
    );
    expect(quote!(key = "user"), &unnamed, &["to key by all arguments, leave `key` out; if all calls"]);
}
