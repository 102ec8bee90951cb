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
        (["--lease-ttl-ms", "999"], "lease_ttl_ms"),
        (["--lease-renew-ms", "15001"], "lease_renew_ms"),
        (["--lease-doubt-ms", "86400001"], "lease_doubt_ms"),
        (["--lease-share-percent", "0"], "lease_share_percent"),
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
fn exchange_rates_that_are_no_table_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rates.toml");
    let refused = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let error = credit_rates(&path).unwrap_err();
        let reason = std::error::Error::source(&error);
        reason.map_or_else(|| error.to_string(), ToString::to_string)
    };
    let head = "currency = \"EUR\"\nper_credit = \"0.10\"\n";
    for (text, reason) in [
        (
            "currency = \"euro\"\nper_credit = \"1\"\n".to_owned(),
            "`currency` is `euro`",
        ),
        (head.to_owned(), "the first rate has no `from`"),
        (
            format!("{head}[[rates]]\nusd = \"a lot\"\n"),
            "`a lot` is no amount",
        ),
        (format!("{head}[[rates]]\nusd = 1.08\n"), "it is not valid"),
        (
            format!("{head}[[rates]]\nfrom = \"soon\"\nusd = \"1\"\n"),
            "`soon` is no date",
        ),
        (
            format!("{head}[[rates]]\nusd = \"1.123456789\"\n"),
            "at rate 1, a credit is worth",
        ),
        (
            format!("{head}[[rates]]\nusd = \"0.00000001\"\n"),
            "a credit is worth 0.000000001 USD",
        ),
    ] {
        let said = refused(&text);
        assert!(said.starts_with(reason), "{text}: {said}");
    }
    let both = Config::load(flags(&[
        "--credit-usd",
        "0.10",
        "--credit-rates",
        "rates.toml",
    ]));
    assert!(
        both.unwrap_err()
            .to_string()
            .starts_with("`credit_usd` is `0.10`")
    );
}

#[test]
fn the_page_about_currencies_is_true() {
    let page = include_str!("../../../docs/billing/currencies.md");
    let example = page.split("```toml\n").nth(1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rates.toml");
    std::fs::write(&path, example.split("```").next().unwrap()).unwrap();
    let pegs = credit_rates(&path).unwrap();
    // 2026-12-01T00:00:00Z.
    let december = 1_796_083_200_000;
    let usd = Decimal::from_str_exact("0.0002625").unwrap();
    for at_ms in [december - 1, december] {
        let nanos = pegs.at(at_ms).to_nanos(usd, Rounding::AwayFromZero);
        let credits = nanos.unwrap().credits().to_string();
        assert!(page.contains(&format!("= {credits}")), "{credits}");
    }
}

#[test]
fn keys_are_pinned_by_name_from_digits_and_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reviewer.pub");
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";
    std::fs::write(&path, pem).unwrap();
    let digits = "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c";
    let given = format!("reviewer={},releaser={digits}", path.display());
    let config = Config::load(flags(&["--policy-keys", &given])).unwrap();
    let pinned: Vec<_> = config.policy_keys.iter().map(ToString::to_string).collect();
    let reviewer = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
    assert_eq!(
        pinned,
        [format!("releaser={digits}"), format!("reviewer={reviewer}")]
    );
    assert!(Config::load(flags(&[])).unwrap().policy_keys.is_empty());
    let missing = folder.path().join("missing.pub");
    for (given, reason) in [
        (
            digits.to_owned(),
            "has no name: write `NAME=KEY`".to_owned(),
        ),
        (
            format!("a={digits},a={reviewer}"),
            "`a` is pinned twice".to_owned(),
        ),
        (
            format!("a={}", missing.display()),
            "neither 64 hexadecimal digits nor a file that can be read".to_owned(),
        ),
    ] {
        let error = Config::load(flags(&["--policy-keys", &given])).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(&reason), "{given}: {cause}");
    }
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
