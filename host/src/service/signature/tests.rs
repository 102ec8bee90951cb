//! Every way to pass a signature for another, and the one way to write it.

use super::super::policy::Digest;
use super::*;

fn release(component: u8, book: u8) -> ReleaseId {
    ReleaseId {
        component: Digest([component; 32]),
        book: Digest([book; 32]),
    }
}

fn statement() -> Statement {
    Statement::new(release(0x11, 0x22), "1.0.0", LimitClass::Native).unwrap()
}

fn secret(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

fn signed_by(numbers: &[u8]) -> Vec<Signature> {
    let mut signatures = Vec::new();
    for number in numbers {
        add(&mut signatures, secret(*number).sign(&statement()));
    }
    signatures
}

fn pinned(numbers: &[u8]) -> PinnedKeys {
    let pin = |number: &u8| PinnedKey {
        name: format!("key-{number}").into(),
        key: secret(*number).public(),
    };
    PinnedKeys::new(numbers.iter().map(pin).collect()).unwrap()
}

#[test]
fn what_is_signed_is_the_documented_text() {
    let text = to_text(&[secret(7).sign(&statement())]);
    let page = include_str!("../../../../docs/release-file.md");
    let example = page.split("```signature\n").nth(1).unwrap();
    assert_eq!(text, example.split("```").next().unwrap());
}

#[test]
fn each_way_to_cheat_is_named() {
    let with = |component, book, contract, class| {
        Statement::new(release(component, book), contract, class).unwrap()
    };
    let native = LimitClass::Native;
    for (signed, mismatch) in [
        (
            with(0x33, 0x22, "1.0.0", native),
            Mismatch::Component("33".repeat(32)),
        ),
        (
            with(0x11, 0x33, "1.0.0", native),
            Mismatch::Book("33".repeat(32)),
        ),
        (
            with(0x11, 0x22, "1.1.0", native),
            Mismatch::Contract("1.1.0".into()),
        ),
        (
            with(0x11, 0x22, "1.0.0", LimitClass::Scripted),
            Mismatch::Class("scripted".into()),
        ),
    ] {
        // As it was signed, and as if it had been signed for this release.
        let honest = secret(1).sign(&signed);
        assert_eq!(honest.check(&signed), Ok(()));
        assert_eq!(honest.check(&statement()), Err(mismatch));
        let moved = Signature {
            statement: statement(),
            ..honest
        };
        assert_eq!(moved.check(&statement()), Err(Mismatch::Forged));
    }
    let honest = secret(1).sign(&statement());
    let other_key = Signature {
        key: secret(2).public(),
        ..honest.clone()
    };
    assert_eq!(other_key.check(&statement()), Err(Mismatch::Forged));
    for at in 0..64 {
        let mut flipped = honest.clone();
        flipped.bytes[at] ^= 1;
        assert_eq!(flipped.check(&statement()), Err(Mismatch::Forged), "{at}");
    }
    // A signature over the digests alone, without the first line, is none.
    let bare: String = statement().to_string().lines().skip(1).collect();
    assert!(!honest.key.signed(bare.as_bytes(), &honest.bytes));
}

#[test]
fn a_release_is_taken_when_a_pinned_key_signed_it_and_no_signature_is_wrong() {
    let check = |pinned: &PinnedKeys, signatures: &[Signature]| {
        let checked = pinned.check(&statement(), signatures);
        checked.map_err(|error| (error.reason(), error.to_string()))
    };
    assert_eq!(check(&pinned(&[]), &[]), Ok(()));
    assert_eq!(check(&pinned(&[]), &signed_by(&[1])), Ok(()));
    assert_eq!(check(&pinned(&[1, 2]), &signed_by(&[2, 3])), Ok(()));
    let (reason, text) = check(&pinned(&[1, 2]), &[]).unwrap_err();
    assert_eq!(reason, "unsigned");
    assert!(text.contains("by one of `key-1`, `key-2`"), "{text}");
    let (reason, text) = check(&pinned(&[1, 2]), &signed_by(&[3])).unwrap_err();
    assert_eq!(reason, "signature_unknown_key");
    let digits = secret(3).public().to_string();
    assert!(
        text.contains(&format!("signed by the key `{digits}`")),
        "{text}"
    );
    // Whoever else signed, and whether keys are pinned or not.
    let other = Statement::new(release(1, 1), "1.0.0", LimitClass::Native).unwrap();
    let mut signatures = signed_by(&[1]);
    add(&mut signatures, secret(3).sign(&other));
    for pinned in [pinned(&[]), pinned(&[1])] {
        assert_eq!(
            check(&pinned, &signatures).unwrap_err().0,
            "signature_wrong"
        );
    }
}

#[test]
fn signatures_come_back_as_they_were_and_are_written_one_way() {
    let both = signed_by(&[1, 2]);
    assert_eq!(both, signed_by(&[2, 1, 2]));
    let text = to_text(&both);
    assert_eq!(from_text(text.as_bytes()).unwrap(), both);
    let one = to_text(&both[..1]);
    let two = to_text(&both[1..]);
    for (wrong, error) in [
        (String::new(), TextError::Order),
        (format!("{two}{one}"), TextError::Order),
        (format!("{one}{one}"), TextError::Order),
        (text.replace('\n', "\r\n"), TextError::Order),
        (text.trim_end().to_owned(), TextError::Order),
        (
            format!("{text}\n"),
            TextError::Line {
                line: 15,
                expected: PREFIX,
            },
        ),
        (
            text.replacen("contract 1.0.0", "contract 1.0.0 ", 1),
            TextError::Line {
                line: 5,
                expected: "limits ",
            },
        ),
        (
            text.replacen(" v1", " v2", 1),
            TextError::Line {
                line: 1,
                expected: PREFIX,
            },
        ),
        (text.replacen("11", "AA", 1), TextError::Order),
    ] {
        assert_eq!(from_text(wrong.as_bytes()), Err(error), "{wrong}");
    }
    assert_eq!(from_text(b"\xff"), Err(TextError::NotText));
    let many: Vec<u8> = (0..=16).collect();
    let many = to_text(&signed_by(&many));
    assert_eq!(from_text(many.as_bytes()), Err(TextError::TooMany));
}

#[test]
fn no_cut_and_no_flipped_bit_makes_another_signature_that_holds() {
    let text = to_text(&signed_by(&[1, 2])).into_bytes();
    let holds = |text: &[u8]| match from_text(text) {
        Ok(signatures) => pinned(&[1, 2]).check(&statement(), &signatures).is_ok(),
        Err(_) => false,
    };
    assert!(holds(&text));
    for length in 0..text.len() {
        // Cut after the first signature there is one.
        assert_eq!(holds(&text[..length]), length == text.len() / 2, "{length}");
    }
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut flipped = text.clone();
            flipped[at] ^= 1 << bit;
            assert!(!holds(&flipped), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn keys_are_pinned_once_each_and_by_a_name() {
    let digits = secret(1).public().to_string();
    let pin = |text: &str| text.parse::<PinnedKey>();
    let releaser = pin(&format!("releaser={digits}")).unwrap();
    assert_eq!(
        (&*releaser.name, releaser.key),
        ("releaser", secret(1).public())
    );
    assert_eq!(releaser.to_string(), format!("releaser={digits}"));
    for shapeless in [
        digits.clone(),
        format!("={digits}"),
        format!("a b={digits}"),
    ] {
        let error = pin(&shapeless).unwrap_err();
        assert_eq!(error, PinError::Shape(shapeless));
    }
    let error = pin("releaser=short").unwrap_err();
    assert!(
        error.to_string().contains("64 hexadecimal digits"),
        "{error}"
    );
    let other = pin(&format!("other={digits}")).unwrap();
    let error = PinnedKeys::new(vec![releaser.clone(), other]).unwrap_err();
    assert_eq!(error, PinError::Twice("releaser".to_owned()));
    let mut again = releaser.clone();
    again.key = secret(2).public();
    let error = PinnedKeys::new(vec![releaser, again]).unwrap_err();
    assert_eq!(error, PinError::Twice("releaser".to_owned()));
}
