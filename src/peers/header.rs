//! The `Authorization: X-Matrix …` header (server-server API, *Request Authentication*; RFC 9110, §11.4): reading and writing it. Whether what it says is
//! true is decided in `verify.rs`.

use crate::error::{Error, Result};

/// How long a header is read. Server names have at most 255 bytes, and a signature 86.
const HEADER_BYTES: usize = 4096;

/// What the header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authorization {
    /// Who sends.
    pub(crate) origin: String,
    /// To whom. Old servers do not say.
    pub(crate) destination: Option<String>,
    /// With which key.
    pub(crate) key: String,
    /// The signature.
    pub(crate) sig: String,
}

impl Authorization {
    /// Reads the header's value.
    pub(crate) fn parse(header: &str) -> Result<Self> {
        if header.len() > HEADER_BYTES {
            return Err(bad("is too long"));
        }
        let (scheme, rest) = header
            .trim_matches([' ', '\t'])
            .split_once(' ')
            .ok_or_else(|| bad("names no parameters"))?;
        if !scheme.eq_ignore_ascii_case("X-Matrix") {
            return Err(bad("is not of the scheme X-Matrix"));
        }
        let (mut origin, mut destination, mut key, mut sig) = (None, None, None, None);
        let mut rest = Rest(rest);
        while let Some((name, value)) = rest.parameter()? {
            let place = match name.to_ascii_lowercase().as_str() {
                "origin" => &mut origin,
                "destination" => &mut destination,
                "key" => &mut key,
                "sig" | "signature" => &mut sig,
                _ => continue,
            };
            // Of two values, one would be checked and the other perhaps used.
            if place.replace(value).is_some() {
                return Err(bad("names a parameter twice"));
            }
        }
        Ok(Self {
            origin: origin.ok_or_else(|| bad("names no origin"))?,
            destination,
            key: key.ok_or_else(|| bad("names no key"))?,
            sig: sig.ok_or_else(|| bad("holds no signature"))?,
        })
    }

    /// The header's value, in the form that every server understands. What it is made of holds no quotes and no backslashes.
    pub(crate) fn header(&self) -> String {
        let destination = self.destination.as_deref().unwrap_or_default();
        format!(
            "X-Matrix origin=\"{}\",destination=\"{destination}\",key=\"{}\",sig=\"{}\"",
            self.origin, self.key, self.sig
        )
    }
}

fn bad(why: &str) -> Error {
    Error::Unauthorised(format!("The Authorization header {why}"))
}

/// What is left to be read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// The next parameter, or none at the end. Empty places between commas are allowed, as in every list of HTTP.
    fn parameter(&mut self) -> Result<Option<(&'a str, String)>> {
        self.0 = self.0.trim_start_matches([' ', '\t', ',']);
        if self.0.is_empty() {
            return Ok(None);
        }
        let (name, rest) = self
            .0
            .split_once('=')
            .ok_or_else(|| bad("holds a parameter without a value"))?;
        let name = name.trim_end_matches([' ', '\t']);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(bad("holds a parameter whose name makes no sense"));
        }
        self.0 = rest.trim_start_matches([' ', '\t']);
        let value = match self.0.strip_prefix('"') {
            Some(rest) => self.quoted(rest)?,
            None => self.bare()?,
        };
        self.0 = self.0.trim_start_matches([' ', '\t']);
        if !self.0.is_empty() && !self.0.starts_with(',') {
            return Err(bad("holds something between two parameters"));
        }
        Ok(Some((name, value)))
    }

    /// A value between quotes; a backslash takes the meaning from what follows it.
    fn quoted(&mut self, text: &'a str) -> Result<String> {
        let mut value = String::new();
        let mut letters = text.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.0 = text.get(at + 1..).unwrap_or_default();
                    return Ok(value);
                }
                '\\' => match letters.next() {
                    Some((_, letter)) => value.push(letter),
                    None => break,
                },
                letter => value.push(letter),
            }
        }
        Err(bad("opens a quote and does not close it"))
    }

    /// A value without quotes. Older servers leave them out even around what is no token, such as Base64 and ports.
    fn bare(&mut self) -> Result<String> {
        let end = self.0.find([',', ' ', '\t', '"']).unwrap_or(self.0.len());
        let (value, rest) = self.0.split_at_checked(end).unwrap_or((self.0, ""));
        self.0 = rest;
        if value.is_empty() {
            return Err(bad("holds a parameter without a value"));
        }
        Ok(value.to_owned())
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain() -> Authorization {
        Authorization {
            origin: "a.example:8448".to_owned(),
            destination: Some("b.example".to_owned()),
            key: "ed25519:k_1".to_owned(),
            sig: "Ab+/9".to_owned(),
        }
    }

    #[test]
    fn every_spelling_of_a_right_header_is_understood() {
        for header in [
            r#"X-Matrix origin="a.example:8448",destination="b.example",key="ed25519:k_1",sig="Ab+/9""#,
            r#"x-mAtrIx   ORIGIN=a.example:8448 ,	Destination="b.example",,key=ed25519:k_1, sig=Ab+/9"#,
            r#"X-Matrix sig="Ab+/9",key="ed25519:k_1",destination=b.example,origin="a.example:8448""#,
            r#"X-Matrix origin="a.example\:8448",destination="\b.example",key="ed25519:k_1",sig="Ab+/9","#,
            r#"X-Matrix origin = "a.example:8448",destination="b.example",key="ed25519:k_1",signature="Ab+/9""#,
            r#"X-Matrix origin="a.example:8448",future="a,b=\"c\"",destination="b.example",key="ed25519:k_1",sig="Ab+/9",more=1"#,
        ] {
            assert_eq!(Authorization::parse(header).unwrap(), plain(), "{header}");
        }
        let old = r#"X-Matrix origin=a.example:8448,key="ed25519:k_1",sig="Ab+/9""#;
        assert_eq!(Authorization::parse(old).unwrap().destination, None);
    }

    #[test]
    fn headers_that_could_be_read_in_two_ways_are_refused() {
        let right = plain().header();
        let long = format!("{right},x=\"{}\"", "x".repeat(HEADER_BYTES));
        for header in [
            "",
            "X-Matrix",
            "X-Matrix ",
            "Bearer origin=a,destination=b,key=c,sig=d",
            "X-MatrixX origin=a,destination=b,key=c,sig=d",
            "X-Matrix origin=a,origin=b,destination=b,key=c,sig=d",
            "X-Matrix origin=a,Origin=a,destination=b,key=c,sig=d",
            "X-Matrix origin=a,destination=b,key=c,sig=d,signature=e",
            "X-Matrix origin=\"a,destination=b,key=c,sig=d",
            "X-Matrix origin=\"a\\",
            "X-Matrix origin=\"a\"x,destination=b,key=c,sig=d",
            "X-Matrix origin=\"a\" destination=b,key=c,sig=d",
            "X-Matrix origin=a destination=b key=c sig=d",
            "X-Matrix origin,destination=b,key=c,sig=d",
            "X-Matrix =a,origin=a,destination=b,key=c,sig=d",
            "X-Matrix or igin=a,destination=b,key=c,sig=d",
            "X-Matrix origin=,destination=b,key=c,sig=d",
            "X-Matrix destination=b,key=c,sig=d",
            "X-Matrix origin=a,destination=b,sig=d",
            "X-Matrix origin=a,destination=b,key=c",
            &long,
        ] {
            assert!(Authorization::parse(header).is_err(), "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(header in ".{0,200}", tail in "[a-z=\",\\\\ \t]{0,60}") {
            let _ = Authorization::parse(&header);
            let _ = Authorization::parse(&format!("X-Matrix {tail}"));
        }

        #[test]
        fn what_is_written_is_read_back(
            origin in "[a-z0-9.:-]{1,40}", destination in "[a-z0-9.:-]{1,40}", key in "ed25519:[a-zA-Z0-9_]{1,20}", sig in "[A-Za-z0-9+/]{0,86}",
        ) {
            let written = Authorization { origin, destination: Some(destination), key, sig };
            prop_assert_eq!(Authorization::parse(&written.header()).unwrap(), written);
        }

        #[test]
        fn quotes_and_escapes_carry_any_value(value in "[ -~]{0,40}") {
            let escaped: String = value.chars().flat_map(|letter| ['\\', letter]).collect();
            let header = format!("X-Matrix origin=\"{escaped}\",destination=b,key=c,sig=d");
            prop_assert_eq!(Authorization::parse(&header).unwrap().origin, value);
        }
    }
}
