//! Numbers of a request. `8.0` is the number 8: JSON knows one kind of number. What a number means is not
//! known here.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// Beyond it, not every whole number of JSON is exact.
const MOST_EXACT: f64 = 9_007_199_254_740_992.0;

/// A whole number of a type, or nothing.
struct Whole<T>(Option<T>);

impl<'de, T: TryFrom<u64>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor(std::marker::PhantomData)).map(Self)
    }
}

struct Visitor<T>(std::marker::PhantomData<T>);

impl<T: TryFrom<u64>> de::Visitor<'_> for Visitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = if size_of::<T>() == 2 { u64::from(u16::MAX) } else { u64::MAX };
        write!(f, "a whole number from 0 to {most}")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Option<T>, E> {
        let whole = T::try_from(number);
        whole.map(Some).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Option<T>, E> {
        let is_whole = number.fract() == 0.0 && (0.0..=MOST_EXACT).contains(&number);
        let whole = is_whole.then_some(number as u64).and_then(|number| T::try_from(number).ok());
        whole.map(Some).ok_or_else(|| E::invalid_value(de::Unexpected::Float(number), &self))
    }
}

/// A number of 16 bits or nothing.
pub fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    Whole::deserialize(deserializer).map(|Whole(number)| number)
}

/// A number of 64 bits or nothing.
pub fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Whole::deserialize(deserializer).map(|Whole(number)| number)
}

/// A list of numbers of 16 bits or nothing.
pub fn counts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u16>>, D::Error> {
    let Some(list) = Option::<Vec<Whole<u16>>>::deserialize(deserializer)? else { return Ok(None) };
    let number = |Whole(number): Whole<u16>| number.ok_or_else(|| de::Error::custom("null is no number"));
    list.into_iter().map(number).collect::<Result<_, _>>().map(Some)
}
