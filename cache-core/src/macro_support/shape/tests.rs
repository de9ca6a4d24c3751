use std::any::type_name;
use std::cell::RefCell;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use super::*;
use crate::codec::Codec;
use crate::error::{Error, ErrorKind};

/// The expression the macro writes.
macro_rules! shape {
    ($stored:ident, $layers:ident, $ret:ty) => {{
        #[allow(unused_imports)]
        use super::levels::*;
        (&&&&&&&(&&&&&(&Probe::<$ret>::NEW).$stored()).$layers()).__larder_failures()
    }};
}

#[derive(Clone, Debug, PartialEq)]
struct CloneOnly(u32);

/// What a shape was found to be, without the paths.
fn short<S: Shape>(_: S) -> String {
    let name = type_name::<S>();
    name.split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
        .map(|word| word.rsplit("::").next().unwrap_or_default())
        .collect()
}

fn failed<S: Shape>(shape: S, ret: &S::Return) -> Option<S::Return> {
    let shared = shape.failure(ret)?;
    shape.from_failure(&*shared)
}

#[test]
fn anything_but_a_result_is_stored_whole() {
    assert_eq!(short(shape!(__larder_shape, __larder_shared, u32)), "Whole<u32, SerdeEq>");
    assert_eq!(short(shape!(__larder_shape, __larder_shared, ())), "Whole<(), SerdeEq>");
    assert_eq!(short(shape!(__larder_shape, __larder_shared, Option<String>)), "Whole<Option<String>, SerdeEq>");
    assert_eq!(short(shape!(__larder_shape, __larder_local, CloneOnly)), "Whole<CloneOnly, LocalOnly>");
    assert_eq!(short(shape!(__larder_shape, __larder_local, &'static str)), "Whole<&str, LocalOnly>");

    fn check<S: Shape<Return = Option<u8>, Stored = Option<u8>>>(shape: S) {
        assert_eq!(S::split(&None), Some(&None));
        assert_eq!(S::wrap(Some(1)), Some(1));
        assert!(shape.failure(&None).is_none());
        assert!(shape.from_failure(&()).is_none());
    }
    check(shape!(__larder_shape, __larder_shared, Option<u8>));
}

#[test]
fn what_can_be_compared_is_known_by_type() {
    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    struct Incomparable(u8);
    /// Not with itself.
    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    struct WithNumbers(u8);
    impl PartialEq<u8> for WithNumbers {
        fn eq(&self, other: &u8) -> bool {
            self.0 == *other
        }
    }
    type Wrapped<T> = io::Result<Option<T>>;
    assert_eq!(short(shape!(__larder_shape, __larder_shared, Vec<f64>)), "Whole<Vec<f64>, SerdeEq>");
    assert_eq!(short(shape!(__larder_shape, __larder_shared, Incomparable)), "Whole<Incomparable, Serde>");
    assert_eq!(short(shape!(__larder_shape, __larder_shared, WithNumbers)), "Whole<WithNumbers, Serde>");
    assert_eq!(
        short(shape!(__larder_shape, __larder_shared, Wrapped<Incomparable>)),
        "OkOnly<Option<Incomparable>, Error, Serde, ByIo>"
    );
    let same = ValueCodec::comparing::<String>().same.unwrap();
    assert!(same(&"a".to_owned(), &"a".to_owned()) && !same(&"a".to_owned(), &"b".to_owned()));
    assert!(ValueCodec::of::<String>().same.is_none());
}

#[test]
fn a_result_is_known_by_type() {
    type Aliased<T> = Result<T, Coded>;
    assert_eq!(short(shape!(__larder_shape, __larder_shared, Aliased<u8>)), "OkOnly<u8, Coded, SerdeEq, ByClone>");
    assert_eq!(
        short(shape!(__larder_shape, __larder_local, io::Result<CloneOnly>)),
        "OkOnly<CloneOnly, Error, LocalOnly, ByIo>"
    );

    fn check<S: Shape<Return = Aliased<u8>, Stored = u8>>(_: S) {
        assert_eq!(S::split(&Ok(1)), Some(&1));
        assert_eq!(S::split(&Err(Coded(1))), None);
        assert_eq!(S::wrap(1), Ok(1));
    }
    check(shape!(__larder_shape, __larder_shared, Aliased<u8>));
}

#[test]
fn cache_err_stores_the_whole_result() {
    assert_eq!(
        short(shape!(__larder_whole, __larder_shared, Result<u8, String>)),
        "Whole<Result<u8, String>, SerdeEq>"
    );
    assert_eq!(
        short(shape!(__larder_whole, __larder_local, Result<u8, CloneOnly>)),
        "Whole<Result<u8, CloneOnly>, LocalOnly>"
    );
}

#[test]
fn generic_functions_fall_to_the_bounds_in_sight() {
    fn value<T: Clone + Send + Sync + 'static>() -> String {
        short(shape!(__larder_shape, __larder_local, T))
    }
    fn ok<T: Clone + Send + Sync + serde::Serialize + serde::de::DeserializeOwned + 'static>() -> String {
        short(shape!(__larder_shape, __larder_shared, io::Result<T>))
    }
    fn comparable<T: Clone + Send + Sync + PartialEq + serde::Serialize + serde::de::DeserializeOwned + 'static>()
    -> String {
        short(shape!(__larder_shape, __larder_shared, io::Result<Vec<T>>))
    }
    fn err<E: 'static>() -> String {
        short(shape!(__larder_shape, __larder_shared, Result<u8, E>))
    }
    fn clone_err<E: Clone + Send + Sync + 'static>() -> String {
        short(shape!(__larder_shape, __larder_shared, Result<u8, E>))
    }
    assert_eq!(value::<CloneOnly>(), "Whole<CloneOnly, LocalOnly>");
    assert_eq!(ok::<u8>(), "OkOnly<u8, Error, Serde, ByIo>");
    assert_eq!(comparable::<u8>(), "OkOnly<Vec<u8>, Error, SerdeEq, ByIo>");
    assert_eq!(err::<String>(), "OkOnly<u8, String, SerdeEq, Unshared>");
    assert_eq!(clone_err::<String>(), "OkOnly<u8, String, SerdeEq, ByClone>");
}

#[derive(Clone, Debug, PartialEq)]
struct Coded(u8);

#[test]
fn clonable_failures_are_cloned() {
    let shape = shape!(__larder_shape, __larder_shared, Result<u8, Coded>);
    assert_eq!(failed(shape, &Err(Coded(7))), Some(Err(Coded(7))));
    assert_eq!(failed(shape, &Ok(7)), None);
    assert!(shape.from_failure(&"something else").is_none());
}

#[test]
fn io_failures_keep_kind_code_and_message() {
    let shape = shape!(__larder_shape, __larder_shared, io::Result<u8>);
    let code = failed(shape, &Err(io::Error::from_raw_os_error(2))).unwrap().unwrap_err();
    assert_eq!((code.kind(), code.raw_os_error()), (io::ErrorKind::NotFound, Some(2)));
    let simple = failed(shape, &Err(io::ErrorKind::TimedOut.into())).unwrap().unwrap_err();
    assert_eq!(format!("{simple:?}"), format!("{:?}", io::Error::from(io::ErrorKind::TimedOut)));
    let text = || io::Error::new(io::ErrorKind::InvalidData, "some\ttext");
    let custom = failed(shape, &Err(text())).unwrap().unwrap_err();
    assert_eq!((custom.kind(), format!("{custom:?}")), (io::ErrorKind::InvalidData, format!("{:?}", text())));
    let message = std::fs::File::open("/nowhere\0").unwrap_err();
    let (kind, text) = (message.kind(), message.to_string());
    let message = failed(shape, &Err(message)).unwrap().unwrap_err();
    assert_eq!((message.kind(), message.to_string()), (kind, text));
}

#[derive(Debug)]
struct Named {
    text: &'static str,
    source: Option<Box<Named>>,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl StdError for Named {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

fn nested() -> Named {
    Named { text: "load", source: Some(Box::new(Named { text: "connect", source: None })) }
}

/// As an error holds a text, but it has a name to be downcast to.
struct Texty(String);

impl fmt::Debug for Texty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Texty({:?})", self.0)
    }
}

impl fmt::Display for Texty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Texty {}

#[test]
fn io_failures_that_hold_an_error_are_not_shared() {
    let shape = shape!(__larder_shape, __larder_shared, io::Result<u8>);
    assert!(failed(shape, &Err(io::Error::other(nested()))).is_none());
    assert!(failed(shape, &Err(io::Error::other(Texty("text".to_owned())))).is_none());
}

#[test]
fn failures_made_of_any_error_are_not_shared() {
    struct OfAny(#[expect(dead_code, reason = "nobody looks")] Box<dyn StdError>);
    impl<E: StdError + 'static> From<E> for OfAny {
        fn from(error: E) -> Self {
            Self(Box::new(error))
        }
    }
    let send = shape!(__larder_shape, __larder_shared, Result<u8, Box<dyn StdError + Send + Sync>>);
    let local = shape!(__larder_shape, __larder_local, Result<u8, Box<dyn StdError>>);
    let of_any = shape!(__larder_shape, __larder_local, Result<u8, OfAny>);
    for short in [short(send), short(local), short(of_any)] {
        assert!(short.ends_with("Unshared>"), "{short}");
    }
    assert!(failed(send, &Err(Box::new(nested()))).is_none());
}

/// An error that says how it is made of a shared one.
#[derive(Debug)]
enum Load {
    Failed(Named),
    Shared(SharedFailure),
}

impl From<SharedFailure> for Load {
    fn from(shared: SharedFailure) -> Self {
        Self::Shared(shared)
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Shared(shared) => shared.fmt(f),
        }
    }
}

impl StdError for Load {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Failed(error) => error.source(),
            Self::Shared(shared) => shared.source(),
        }
    }
}

#[test]
fn failures_that_are_made_of_shared_ones_keep_their_texts_and_sources() {
    let shape = shape!(__larder_shape, __larder_shared, Result<u8, Load>);
    assert!(short(shape).ends_with("ByText<OfError>>"), "{}", short(shape));
    let error = failed(shape, &Err(Load::Failed(nested()))).unwrap().unwrap_err();
    assert_eq!((error.to_string(), error.source().unwrap().to_string()), ("load".to_owned(), "connect".to_owned()));
    assert!(error.source().unwrap().source().is_none());
    let Load::Shared(shared) = error else { panic!("it is not the original") };
    assert_eq!(format!("{shared:?}"), format!("{:?}", Load::Failed(nested())));
}

#[derive(Debug)]
enum Domain {
    Missing(RefCell<u8>),
    Shared(SharedFailure),
}

impl From<SharedFailure> for Domain {
    fn from(shared: SharedFailure) -> Self {
        Self::Shared(shared)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(id) => write!(f, "no {}", id.borrow()),
            Self::Shared(shared) => shared.fmt(f),
        }
    }
}

#[test]
fn an_error_enum_may_accept_shared_failures() {
    let shape = shape!(__larder_shape, __larder_shared, Result<u8, Domain>);
    assert!(short(shape).ends_with("ByText<Nowhere>>"), "{}", short(shape));
    let error = failed(shape, &Err(Domain::Missing(RefCell::new(3)))).unwrap().unwrap_err();
    assert_eq!(error.to_string(), "no 3");
}

#[test]
fn other_failures_are_not_shared() {
    let shape = shape!(__larder_shape, __larder_shared, Result<u8, Rc<str>>);
    assert!(short(shape).ends_with("Unshared>"));
    assert!(shape.failure(&Err("no".into())).is_none());
}

#[test]
fn endless_chains_of_sources_are_cut() {
    struct Endless;
    impl fmt::Debug for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Endless")
        }
    }
    impl fmt::Display for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("endless")
        }
    }
    impl StdError for Endless {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&Endless)
        }
    }
    impl From<SharedFailure> for Endless {
        fn from(_: SharedFailure) -> Self {
            Self
        }
    }
    let shape = shape!(__larder_shape, __larder_local, Result<u8, Endless>);
    let shared = shape.failure(&Err(Endless)).unwrap();
    let error = shared.downcast_ref::<SharedFailure>().unwrap();
    let depth = std::iter::successors(error.source(), |error| (*error).source()).count();
    assert_eq!(depth, 32);
}

/// Writes the length of the JSON-like text that a number has; enough to see values pass.
#[derive(Debug)]
struct Numbers;

impl Codec for Numbers {
    fn name(&self) -> &str {
        "numbers"
    }

    fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut Vec<u8>) -> Result<(), Error> {
        let text = Text::of(value)?;
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn decode(
        &self,
        bytes: &[u8],
        read: &mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>,
    ) -> Result<(), Error> {
        use serde::de::IntoDeserializer as _;
        let number: u64 = std::str::from_utf8(bytes)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Error::new(ErrorKind::Codec, "not a number"))?;
        let deserializer: serde::de::value::U64Deserializer<serde::de::value::Error> = number.into_deserializer();
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(deserializer))
            .map_err(|error| Error::new(ErrorKind::Codec, "not this number").with_source(error.to_string()))
    }

    fn describes_itself(&self) -> bool {
        true
    }
}

/// A value's text: `Formatter` is the one serializer that std brings.
struct Text;

impl Text {
    fn of(value: &dyn erased_serde::Serialize) -> Result<String, Error> {
        struct Shown<'a>(&'a dyn erased_serde::Serialize);
        impl fmt::Display for Shown<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                serde::Serialize::serialize(self.0, f)
            }
        }
        Ok(Shown(value).to_string())
    }
}

#[test]
fn values_pass_through_their_codec() {
    fn codec<S: Shape>(_: S) -> Option<ValueCodec> {
        S::codec()
    }
    assert!(codec(shape!(__larder_shape, __larder_local, u64)).is_none());
    assert!(codec(shape!(__larder_shape, __larder_local, io::Result<u64>)).is_none());

    let codec = codec(shape!(__larder_shape, __larder_shared, io::Result<u64>)).unwrap();
    assert_eq!((codec.type_name)(), "u64");
    assert_eq!(Some((codec.shape)().hash), crate::codec::shape::of::<u64>());
    let mut bytes = Vec::new();
    (codec.encode)(&7u64, &Numbers, &mut bytes).unwrap();
    assert_eq!(bytes, b"7");
    let value = (codec.decode)(&bytes, &Numbers).unwrap();
    assert_eq!(value.downcast_ref(), Some(&7u64));

    let error = (codec.encode)(&"text", &Numbers, &mut bytes).unwrap_err();
    assert_eq!((error.kind(), bytes.as_slice()), (ErrorKind::Codec, b"7".as_slice()));
    assert_eq!((codec.decode)(b"x", &Numbers).unwrap_err().kind(), ErrorKind::Codec);

    struct Picky;
    impl serde::Serialize for Picky {
        fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.serialize_unit()
        }
    }
    impl<'de> serde::Deserialize<'de> for Picky {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic!("for the test")
        }
    }
    assert!(
        !crate::engine::function::look_at(ValueCodec::of::<Picky>()).whole,
        "a panic is no reason to fail the call"
    );

    let bool_codec = ValueCodec::of::<bool>();
    assert_eq!((bool_codec.decode)(b"1", &Numbers).unwrap_err().kind(), ErrorKind::Codec);
}

#[test]
fn tokens_cost_nothing() {
    assert_eq!(size_of_val(&shape!(__larder_shape, __larder_shared, Result<String, Arc<str>>)), 0);
}

#[test]
fn map_infers_its_closure() {
    assert_eq!(map("abc", |text| text.len() + 1), 4);
}
