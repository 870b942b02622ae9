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
