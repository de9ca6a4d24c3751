//! Whatever it is given, the macro answers: with code or with `compile_error!`, never with a panic.

use std::str::FromStr;

use proc_macro2::TokenStream;

/// Pieces that options and functions are made of, and others.
const PIECES: &[&str] = &[
    "ttl",
    "=",
    "\"5m\"",
    ",",
    "local",
    "skip",
    "(a)",
    "(self)",
    "key",
    "(a, b.c)",
    "tags",
    "[\"{a}\", (\"x\", a)]",
    "cache_if",
    "|v|",
    "||",
    "|a, b|",
    "v.x",
    "60",
    "-1",
    "1.5",
    "true",
    "map",
    "stored",
    "Vec<u8>",
    "crate",
    "helpers",
    "none",
    "[refresh]",
    "max_bytes",
    "\"64MiB\"",
    "weigh",
    "name",
    "\"\"",
    "version",
    "fn",
    "f",
    "r#fn",
    "<T>",
    "(a: u8, mut b: T)",
    "(&self, (x, y): (u8, u8))",
    "(self: &mut Self, _: u8, ...)",
    "-> u8",
    "-> &str",
    "-> impl Fn(&u8)",
    "-> !",
    "where T: Copy",
    "{ a }",
    "{ #![allow(x)] }",
    ";",
    "async",
    "const",
    "unsafe",
    "extern \"C\"",
    "pub",
    "#[cached]",
    "#[doc = \"x\"]",
    "struct S",
    "impl S",
    "{}",
    "()",
    "[]",
    "'a",
    "'x'",
    "..",
    "=>",
    "==",
    "::",
    "_",
    "self",
    "\"{\"",
    "\"\u{0}\\u{1F980}\"",
    "b\"x\"",
    "c\"x\"",
    "0xffff_ffff_ffff_ffff_ffff",
    "1e999",
];

/// The same numbers every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }

    fn tokens(&mut self, most: usize) -> TokenStream {
        let count = self.below(most);
        let text: Vec<&str> = (0..count).map(|_| PIECES[self.below(PIECES.len())]).collect();
        TokenStream::from_str(&text.join(" ")).unwrap()
    }
}

#[test]
fn no_panic_on_any_tokens() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let function = TokenStream::from_str("pub async fn f(a: u8, b: &str) -> Result<u8, E> { Ok(a) }").unwrap();
    for _ in 0..3_000 {
        let (options, item) = (numbers.tokens(12), numbers.tokens(10));
        assert!(!crate::pipeline::cached(options.clone(), item).is_empty());
        assert!(!crate::pipeline::cached(options, function.clone()).is_empty());
    }
}

#[test]
fn no_panic_on_any_item() {
    let mut numbers = Numbers(7);
    for _ in 0..3_000 {
        let tail = numbers.tokens(8);
        let item = quote::quote!(fn f #tail);
        assert!(!crate::pipeline::cached(TokenStream::new(), item).is_empty());
    }
}

#[test]
fn deep_nesting_is_fine() {
    let deep = format!("tags = {}1{}", "[".repeat(60), "]".repeat(60));
    let options = TokenStream::from_str(&deep).unwrap();
    assert!(
        !crate::pipeline::cached(
            options,
            quote::quote!(
                fn f() {}
            )
        )
        .is_empty()
    );
}
