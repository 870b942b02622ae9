//! What a browser may do with a file of a stranger: nothing but show it, and only if it is of a harmless kind
//! (client-server API, "Serving inline content").

/// The policy sent with every file: whatever it contains, it runs nothing and loads nothing.
pub const CONTENT_SECURITY_POLICY: &str = "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; \
     style-src 'unsafe-inline'; media-src 'self'; object-src 'self';";

/// Types that may be shown inside a page; the specification's list.
const INLINE: &[&str] = &[
    "text/css",
    "text/plain",
    "text/csv",
    "application/json",
    "application/ld+json",
    "image/jpeg",
    "image/gif",
    "image/png",
    "image/apng",
    "image/webp",
    "image/avif",
    "video/mp4",
    "video/webm",
    "video/ogg",
    "video/quicktime",
    "audio/mp4",
    "audio/webm",
    "audio/aac",
    "audio/mpeg",
    "audio/ogg",
    "audio/wave",
    "audio/wav",
    "audio/x-wav",
    "audio/x-pn-wav",
    "audio/flac",
    "audio/x-flac",
];

/// The `Content-Type` to serve: the uploader's if it can stand in a header, else that of unknown bytes.
#[must_use]
pub fn content_type(claimed: Option<&str>) -> &str {
    let fits =
        |name: &&str| name.contains('/') && name.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    claimed.filter(fits).unwrap_or("application/octet-stream")
}

/// The `Content-Disposition`: shown inside a page only if its type is harmless, with the file's name in both spellings where needed
/// (RFC 6266).
#[must_use]
pub fn content_disposition(content_type: Option<&str>, filename: Option<&str>) -> String {
    let essence = content_type
        .and_then(|name| name.split(';').next())
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let how = if INLINE.contains(&essence.as_str()) {
        "inline"
    } else {
        "attachment"
    };
    let Some(name) = filename.filter(|name| !name.is_empty()) else {
        return how.to_owned();
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte);
    if name.bytes().all(plain) {
        return format!("{how}; filename={name}");
    }
    if name.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        return format!("{how}; filename=\"{quoted}\"");
    }
    let mut encoded = String::with_capacity(name.len() * 3);
    for byte in name.bytes() {
        if plain(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("{how}; filename*=utf-8''{encoded}")
}

/// The file's name that a `Content-Disposition` gives, in either spelling.
#[must_use]
pub fn filename(disposition: &str) -> Option<String> {
    let mut plain = None;
    for parameter in parameters(disposition) {
        let Some((name, value)) = parameter.split_once('=') else {
            continue;
        };
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "filename*" => {
                let encoded = value.splitn(3, '\'').nth(2)?;
                return Some(percent_decoded(encoded)).filter(|name| !name.is_empty());
            }
            "filename" => plain = Some(unquoted(value)),
            _ => {}
        }
    }
    plain.filter(|name| !name.is_empty())
}

/// What stands between semicolons that are outside of quotes.
fn parameters(header: &str) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    header
        .split(|letter: char| {
            match letter {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                _ => {}
            }
            letter == ';' && !quoted
        })
        .collect()
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
    else {
        return value.to_owned();
    };
    let mut out = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        out.extend(if letter == '\\' {
            letters.next()
        } else {
            Some(letter)
        });
    }
    out
}

fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%');
        let decoded = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match decoded {
            Some(byte) => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_run_in_a_page_is_an_attachment() {
        let cases = [
            ("image/png", "inline"),
            ("IMAGE/PNG; charset=x", "inline"),
            ("video/mp4", "inline"),
            ("text/plain", "inline"),
            ("text/html", "attachment"),
            ("image/svg+xml", "attachment"),
            ("application/xml", "attachment"),
            ("application/pdf", "attachment"),
            ("", "attachment"),
        ];
        for (kind, disposition) in cases {
            assert_eq!(content_disposition(Some(kind), None), disposition, "{kind}");
        }
        assert_eq!(content_disposition(None, None), "attachment");
    }

    #[test]
    fn names_cannot_leave_their_header() {
        let disposition = |name| content_disposition(Some("image/png"), Some(name));
        assert_eq!(disposition("cat.png"), "inline; filename=cat.png");
        assert_eq!(disposition("my cat.png"), "inline; filename=\"my cat.png\"");
        assert_eq!(disposition("a\"b\\c"), "inline; filename=\"a\\\"b\\\\c\"");
        assert_eq!(
            disposition("katze\r\nX: y"),
            "inline; filename*=utf-8''katze%0D%0AX%3A%20y"
        );
        assert_eq!(disposition("mâche"), "inline; filename*=utf-8''m%C3%A2che");
    }

    #[test]
    fn names_are_read_as_they_were_written() {
        for name in [
            "cat.png",
            "my cat.png",
            "a\"b\\c;d",
            "mâche",
            "katze\r\nX: y",
        ] {
            let written = content_disposition(Some("image/png"), Some(name));
            assert_eq!(filename(&written).as_deref(), Some(name), "{written}");
        }
        assert_eq!(
            filename("inline; filename=a; filename*=UTF-8''b%20c").as_deref(),
            Some("b c")
        );
        for none in [
            "inline",
            "attachment; filename=",
            "attachment; filename=\"\"",
            "inline; filename*=x",
        ] {
            assert_eq!(filename(none), None, "{none}");
        }
    }

    #[test]
    fn a_content_type_that_is_none_is_unknown_bytes() {
        assert_eq!(content_type(Some("image/png")), "image/png");
        assert_eq!(content_type(Some("png")), "application/octet-stream");
        assert_eq!(
            content_type(Some("a/b\r\nX: y")),
            "application/octet-stream"
        );
        assert_eq!(content_type(None), "application/octet-stream");
    }
}
