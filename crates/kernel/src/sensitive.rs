//! Personal data inside an event: open in memory, sealed in the log, forgotten for ever.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, ser::Error as _};

/// Ciphertext of one field, made by the store with the person's data key.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sealed {
    /// Whose key opens it.
    pub person: String,
    /// `v1.` and base64 of nonce and ciphertext.
    pub sealed: String,
}

/// A personal value. Serialising it open is an error: the store seals it first.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Sensitive<T> {
    /// Readable; never leaves memory.
    Open(T),
    /// As it lies in the log.
    Sealed(Sealed),
    /// The person's key is gone. Renders as [`FORGOTTEN_TEXT`].
    Forgotten,
}

/// What a forgotten value shows as: clients cannot take null for a name.
pub const FORGOTTEN_TEXT: &str = "(deleted)";

impl<T> Sensitive<T> {
    /// The value when it is readable.
    pub fn open(&self) -> Option<&T> {
        match self {
            Self::Open(value) => Some(value),
            Self::Sealed(_) | Self::Forgotten => None,
        }
    }
}

impl Sensitive<String> {
    /// The text to show.
    pub fn text(&self) -> &str {
        self.open().map_or(FORGOTTEN_TEXT, String::as_str)
    }
}

impl<T> fmt::Debug for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open(_) => "Sensitive(open)",
            Self::Sealed(_) => "Sensitive(sealed)",
            Self::Forgotten => "Sensitive(forgotten)",
        })
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed(person {})", self.person)
    }
}

impl<T> Serialize for Sensitive<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Open(_) => Err(S::Error::custom("an open personal value must be sealed before it is written")),
            Self::Sealed(sealed) => sealed.serialize(serializer),
            Self::Forgotten => serializer.serialize_none(),
        }
    }
}

impl<'de, T> Deserialize<'de> for Sensitive<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<Sealed>::deserialize(deserializer)?.map_or(Self::Forgotten, Self::Sealed))
    }
}

impl<T> JsonSchema for Sensitive<T> {
    fn schema_name() -> Cow<'static, str> {
        "Sensitive".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["object", "null"],
            "description": "personal value, encrypted with the person's key; null once forgotten",
            "properties": { "person": { "type": "string" }, "sealed": { "type": "string" } },
            "required": ["person", "sealed"]
        })
    }
}

/// A [`Sensitive`] field without its type, for the code that seals and opens.
pub trait SensitiveValue: Send {
    /// JSON text of an open value.
    fn to_plain(&self) -> Option<String>;
    /// The ciphertext of a sealed value.
    fn sealed(&self) -> Option<&Sealed>;
    /// Replace by ciphertext.
    fn seal(&mut self, sealed: Sealed);
    /// Replace by the value read from JSON text; false when the text does not fit.
    fn reveal(&mut self, plain: &str) -> bool;
    /// Replace by "forgotten".
    fn forget(&mut self);
}

impl<T: Serialize + DeserializeOwned + Send> SensitiveValue for Sensitive<T> {
    fn to_plain(&self) -> Option<String> {
        self.open().and_then(|value| serde_json::to_string(value).ok())
    }
    fn sealed(&self) -> Option<&Sealed> {
        if let Self::Sealed(sealed) = self { Some(sealed) } else { None }
    }
    fn seal(&mut self, sealed: Sealed) {
        *self = Self::Sealed(sealed);
    }
    fn reveal(&mut self, plain: &str) -> bool {
        serde_json::from_str(plain).is_ok_and(|value| {
            *self = Self::Open(value);
            true
        })
    }
    fn forget(&mut self) {
        *self = Self::Forgotten;
    }
}

/// One personal field of one event.
pub struct SensitiveSlot<'a> {
    /// The field's permanent name; part of the associated data.
    pub field: &'static str,
    /// Whose data it is; `None` means the aggregate itself is the person.
    pub person: Option<String>,
    /// The field.
    pub value: &'a mut dyn SensitiveValue,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_value_cannot_be_written_and_never_shows_in_debug() {
        let open = Sensitive::Open("ani@example.com".to_owned());
        assert!(serde_json::to_string(&open).is_err());
        assert!(!format!("{open:?}").contains("ani"));
    }

    #[test]
    fn sealed_and_forgotten_survive_a_round_trip() {
        let sealed: Sensitive<String> = Sensitive::Sealed(Sealed { person: "p".into(), sealed: "v1.x".into() });
        let text = serde_json::to_string(&sealed).expect("sealed serialises");
        assert_eq!(serde_json::from_str::<Sensitive<String>>(&text).expect("reads back"), sealed);
        let gone: Sensitive<String> = serde_json::from_str("null").expect("null is forgotten");
        assert_eq!(gone.text(), FORGOTTEN_TEXT);
    }
}
