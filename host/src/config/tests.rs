use super::*;
use clap::Parser;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    options: Options,
}

fn flags(arguments: &[&str]) -> Options {
    let arguments = ["farebox"].iter().chain(arguments);
    Flags::try_parse_from(arguments).unwrap().options
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("farebox.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path.to_str().unwrap().to_owned())
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let (_folder, path) =
        file("hold_ttl_ms = 2000\nskew_max_ms = 7\ndeployment = \"self-hosted\"\n");
    let config = Config::load(flags(&["--config", &path, "--hold-ttl-ms", "3000"])).unwrap();
    assert_eq!(config.hold_ttl_ms, 3000);
    assert_eq!(config.skew_max_ms, 7);
    assert_eq!(config.deployment, Deployment::SelfHosted);
    assert_eq!(config.queue_max, 8_192);
}

#[test]
fn a_key_that_does_not_exist_is_named() {
    let (_folder, path) = file("hold_ttl = 2000\n");
    let error = Config::load(flags(&["--config", &path])).unwrap_err();
    let ConfigError::Malformed { source, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(source.to_string().contains("hold_ttl"), "{source}");
    assert!(error.to_string().contains("farebox.toml"), "{error}");
}

#[test]
fn a_file_that_is_missing_is_named() {
    let error = Config::load(flags(&["--config", "/nowhere/farebox.toml"])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read the configuration file `/nowhere/farebox.toml`"
    );
}

#[test]
fn values_out_of_range_are_refused() {
    for (arguments, key) in [
        (["--hold-ttl-ms", "999"], "hold_ttl_ms"),
        (["--hold-ttl-ms", "86400001"], "hold_ttl_ms"),
        (["--skew-max-ms", "18446744073709551615"], "skew_max_ms"),
        (["--settle-interval-ms", "99"], "settle_interval_ms"),
        (["--queue-max", "0"], "queue_max"),
        (["--body-bytes-max", "1"], "body_bytes_max"),
        (["--credit-usd", "0"], "credit_usd"),
        (["--credit-usd=-1", "--drain-ms=0"], "credit_usd"),
        (["--credit-usd", "0.0000000001"], "credit_usd"),
        (["--commodity", "Credits!"], "commodity"),
        (["--admin-key", "short"], "admin_key"),
    ] {
        let error = Config::load(flags(&arguments)).unwrap_err();
        assert!(
            error.to_string().starts_with(&format!("`{key}`")),
            "{arguments:?}: {error}"
        );
    }
}

#[test]
fn a_peg_under_which_charges_could_overflow_is_refused() {
    let error = Config::load(flags(&["--credit-usd", "0.000000001"])).unwrap_err();
    assert!(
        matches!(error, ConfigError::PegOverflows { .. }),
        "{error:?}"
    );
}

#[test]
fn the_admin_key_is_never_shown() {
    let config = Config::load(flags(&["--admin-key", "0123456789abcdef"])).unwrap();
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
    let error = Config::load(flags(&["--admin-key", "a secret with spaces"])).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("with spaces"));
}

#[test]
fn the_reference_page_is_what_the_code_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let page = reference().unwrap();
    if std::env::var_os("FAREBOX_UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(
        kept == page,
        "docs/configuration.md is old: run the test with FAREBOX_UPDATE_DOCS=1"
    );
}
