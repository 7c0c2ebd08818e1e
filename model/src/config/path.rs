//! Where settings stand.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Where a setting stands: keys and numbers of list items.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Item(usize),
}

impl Path {
    pub(super) fn key(&self, key: &str) -> Path {
        self.with(Step::Key(key.to_owned()))
    }

    pub(super) fn item(&self, number: usize) -> Path {
        self.with(Step::Item(number))
    }

    fn with(&self, step: Step) -> Path {
        let mut path = self.clone();
        path.0.push(step);
        path
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if number == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Item(item) => write!(f, "[{item}]")?,
            }
        }
        Ok(())
    }
}

/// Line and column of a setting in the text. Settings do not remember them; so read the text
/// again, and fail where the setting stands: the fault says where that was.
pub(super) fn place_of(text: &str, path: &Path) -> Option<(usize, usize)> {
    const FOUND: &str = "the place that was looked for";
    struct Find<'a>(&'a [Step]);

    impl<'de> DeserializeSeed<'de> for Find<'_> {
        type Value = ();

        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
            deserializer.deserialize_any(self)
        }
    }

    impl Find<'_> {
        fn scalar<E: de::Error>(&self) -> Result<(), E> {
            if self.0.is_empty() { Err(E::custom(FOUND)) } else { Ok(()) }
        }
    }

    impl<'de> Visitor<'de> for Find<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a setting")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            let Some((step, rest)) = self.0.split_first() else {
                return Err(de::Error::custom(FOUND));
            };
            while let Some(key) = map.next_key::<String>()? {
                if *step == Step::Key(key) {
                    map.next_value_seed(Find(rest))?;
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
            let Some((step, rest)) = self.0.split_first() else {
                return Err(de::Error::custom(FOUND));
            };
            for number in 0.. {
                let more = if *step == Step::Item(number) {
                    seq.next_element_seed(Find(rest))?.is_some()
                } else {
                    seq.next_element::<IgnoredAny>()?.is_some()
                };
                if !more {
                    break;
                }
            }
            Ok(())
        }

        fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
            self.scalar()
        }

        fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
            self.scalar()
        }

        fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
            self.scalar()
        }

        fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
            self.scalar()
        }

        fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
            self.scalar()
        }

        fn visit_unit<E: de::Error>(self) -> Result<(), E> {
            self.scalar()
        }
    }

    let fault = Find(&path.0).deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    fault.location().map(|l| (l.line(), l.column()))
}
