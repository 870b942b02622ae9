//! Reading JSON that reached us unparsed inside a request, and answering JSON for which a typed response would only be a detour.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use web::{JsonBytes, Reply};

/// Reads a value of a known shape; `name` is the parameter it came in.
pub(crate) fn read<T: DeserializeOwned>(
    raw: &RawValue,
    name: &'static str,
) -> Result<T, web::Error> {
    serde_json::from_str(raw.get())
        .map_err(|error| web::Error::bad_json(format!("{name}: {error}")))
}

/// Reads an object.
pub(crate) fn object(raw: &RawValue, name: &'static str) -> Result<Map<String, Value>, web::Error> {
    read(raw, name)
}

/// Reads a body as an object. An empty body counts as an empty object.
pub(crate) fn body(bytes: &[u8]) -> Result<Map<String, Value>, web::Error> {
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_slice(bytes).map_err(|error| web::Error::bad_json(error.to_string()))
}

/// An answer written straight from a value.
pub(crate) fn answer(value: &impl Serialize) -> Reply<JsonBytes> {
    JsonBytes::of(value)
}
