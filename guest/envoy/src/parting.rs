//! How a call ended, by the proxy's word for it: by its caller, or before anybody was reached.
//!
//! Both decide who pays, so neither is guessed. What names no side is not the caller's doing; what
//! may have reached a provider has reached it, and so may have been billed. Must not know money.
//!
//! Source: Envoy, "Response Code Details" (1.40, November 2026).

/// What a call's end begins with, where its caller ended it. A caller who resets a stream of HTTP/2
/// is said in the words of its codec; what an upstream's codec says stands within the proxy's own.
const BY_CALLER: [&str; 5] = ["downstream", "http1.", "http2.", "http3.", "codec_error"];

/// Whether the caller ended the call.
pub fn is_by_caller(details: &str) -> bool {
    BY_CALLER.iter().any(|word| details.starts_with(word)) || details.contains("client_disconnect")
}

/// What the proxy says when it did not come as far as a connection to an upstream.
const NOBODY: [&str; 5] = [
    "no_healthy_upstream",
    "upstream_reset_before_response_started{local_connection_failure",
    "upstream_reset_before_response_started{remote_connection_failure",
    "upstream_reset_before_response_started{connection_timeout",
    "upstream_reset_before_response_started{overflow",
];

/// Whether a call that was not answered reached nobody who may have billed it. `attempts` counts how
/// often the proxy tried: what is said of the last of several says nothing of the others.
pub fn reached_nobody(details: &str, attempts: Option<u64>) -> bool {
    match attempts {
        Some(0) => true,
        Some(1) => NOBODY.iter().any(|word| details.starts_with(word)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_known_in_every_version_of_http() {
        for (details, expect) in [
            ("downstream_remote_disconnect", true),
            ("http2.remote_reset", true),
            ("http3.remote_reset", true),
            ("http1.codec_error", true),
            ("via_upstream", false),
            ("upstream_reset_after_response_started{remote_reset}", false),
            (
                "upstream_reset_before_response_started{protocol_error|http2.violation}",
                false,
            ),
            ("stream_idle_timeout", false),
            ("", false),
        ] {
            assert_eq!(is_by_caller(details), expect, "{details}");
        }
    }

    #[test]
    fn only_what_did_not_connect_reached_nobody() {
        let before = |why: &str| format!("upstream_reset_before_response_started{{{why}}}");
        for (details, attempts, expect) in [
            ("no_healthy_upstream".to_owned(), Some(1), true),
            (before("remote_connection_failure|refused"), Some(1), true),
            (before("local_connection_failure"), Some(1), true),
            (before("overflow"), Some(1), true),
            ("ext_authz_denied".to_owned(), Some(0), true),
            ("upstream_response_timeout".to_owned(), Some(1), false),
            ("upstream_per_try_timeout".to_owned(), Some(1), false),
            (before("connection_termination"), Some(1), false),
            (before("remote_reset"), Some(1), false),
            (before("connection_timeout"), Some(1), true),
            ("stream_idle_timeout".to_owned(), Some(1), false),
            (String::new(), Some(1), false),
            // The attempt before it may have been served.
            (before("remote_connection_failure"), Some(2), false),
            ("no_healthy_upstream".to_owned(), None, false),
        ] {
            assert_eq!(
                reached_nobody(&details, attempts),
                expect,
                "{details} {attempts:?}"
            );
        }
    }
}
