//! What is written can be read: emitting is the inverse of parsing, in both formats, and both mean
//! the same book.

use crate::texts::books;
use farebox_book::{Format, compile, parse, to_json, to_toml};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_can_be_read(book in books()) {
        let toml = to_toml(&book, &["made\nby a test".to_owned()]);
        let json = to_json(&book).unwrap();
        prop_assert_eq!(&parse(&toml, Format::Toml).unwrap(), &book);
        prop_assert_eq!(&parse(&json, Format::Json).unwrap(), &book);
        let (toml, json) = (compile(&toml, Format::Toml), compile(&json, Format::Json));
        match (toml, json) {
            (Ok(toml), Ok(json)) => prop_assert_eq!(toml.digest, json.digest),
            // Prices at random may be so far apart that a region raises a tier beyond all bounds.
            (Err(toml), Err(json)) => {
                let mut all = toml.iter().chain(&json);
                prop_assert!(all.all(|error| error.message.contains("too dear")), "{:?}", toml);
                prop_assert_eq!(toml.len(), json.len());
            }
            (toml, json) => {
                let errors = (toml.err(), json.err());
                prop_assert!(false, "{:?}", errors);
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        for format in [Format::Toml, Format::Json] {
            if let Err(errors) = compile(&text, format) {
                prop_assert!(errors.iter().all(|error| error.line > 0 && error.column > 0));
            }
        }
    }
}
