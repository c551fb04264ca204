//! Types that are kept and sent as the text that they print and parse. What their texts look like, and
//! what is wrong with one that is none, they know themselves.

/// Makes a type with `Display` and `FromStr` serialize as its text, and gives it the conversions: the one
/// from a text is what `serde(try_from)` asks for.
macro_rules! as_text {
    ($($type:ty),+) => {$(
        impl TryFrom<alloc::string::String> for $type {
            type Error = <Self as core::str::FromStr>::Err;
            fn try_from(text: alloc::string::String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl From<$type> for alloc::string::String {
            fn from(value: $type) -> Self {
                alloc::string::ToString::to_string(&value)
            }
        }
    )+};
}

pub(crate) use as_text;
