//! The few pages that people see in a browser: no styles from elsewhere, no cookies, every inserted text escaped, and a policy under which
//! nothing runs but the script that we put there, named by its hash.

pub(crate) mod login;

use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};

/// A script of ours and the hash by which the policy lets it run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script {
    text: &'static str,
    hash: &'static str,
}

/// Tells the client that opened the page that the step is done: specification, "Fallback".
pub(crate) const AUTH_DONE: Script = Script {
    text: include_str!("auth_done.js"),
    hash: "RCDAQ+a0KmdMbTUn1cVUM8ufZZ3v7jl72NTfZ1tDXZw=",
};

/// Signs somebody in from the page: specification, "Login fallback".
pub(crate) const LOGIN: Script = Script {
    text: include_str!("login.js"),
    hash: "+Bmy31dsvUvm/p9G70m3C1Sqf5OzTNW2VkQD4CWBrC8=",
};

/// A page: its title (plain text), its body (markup), and perhaps a script.
pub(crate) fn page(title: &str, body: &str, script: Option<Script>) -> Response {
    let policy = format!(
        "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; connect-src 'self'; style-src 'none'; script-src {}",
        script.map_or_else(
            || "'none'".to_owned(),
            |script| format!("'sha256-{}'", script.hash)
        ),
    );
    let run = script
        .map(|script| format!("<script>{}</script>", script.text))
        .unwrap_or_default();
    let title = escape(title);
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title></head><body><main><h1>{title}</h1>{body}</main>{run}</body></html>"
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (X_FRAME_OPTIONS, "DENY".to_owned()),
        (REFERRER_POLICY, "no-referrer".to_owned()),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, html).into_response()
}

/// Makes text safe to stand in markup and in a quoted attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hashes in the policy belong to the scripts as they are: a changed script would silently not run.
    #[test]
    fn hashes_match_the_scripts() {
        use base64::Engine as _;
        use sha2::Digest as _;
        for script in [AUTH_DONE, LOGIN] {
            let hash =
                base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(script.text));
            assert_eq!(hash, script.hash);
        }
    }

    #[test]
    fn nothing_that_is_inserted_becomes_markup() {
        for nasty in [
            "<script>alert(1)</script>",
            "\"><img src=x onerror=alert(1)>",
            "' onmouseover='x",
            "&lt;",
            "<svg/onload=x>",
        ] {
            let safe = escape(nasty);
            assert!(!safe.contains(['<', '>', '"', '\'']), "{safe}");
        }
    }

    #[test]
    fn a_page_cannot_be_framed_and_runs_nothing_foreign() {
        let answer = page("Hello", "<p>there</p>", None);
        let policy = answer.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'none'"));
        assert!(policy.contains("frame-ancestors 'none'"));
        assert!(policy.contains("script-src 'none'"));
    }
}
