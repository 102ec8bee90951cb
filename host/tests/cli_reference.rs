//! docs/cli.md is what the binary says of itself.

#[test]
fn the_command_line_reference_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
    let current = farebox::cli::reference();
    if std::env::var_os("FAREBOX_UPDATE_DOCS").is_some() {
        std::fs::write(path, &current).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        written, current,
        "docs/cli.md is not current: run the test again with FAREBOX_UPDATE_DOCS=1"
    );
}
