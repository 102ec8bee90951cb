//! A price as text: what the caller is told, and what the proxy's own record of the call keeps.
//!
//! Amounts are plain decimals in strings, as everywhere. What the call cost its operator is not in
//! here: it is not the caller's to know.

use crate::boundary::Place;
use crate::exchange::Told;
use crate::release::Unpriced;
use farebox_sdk::pricing::answer::Refusal;
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

/// What every header and trailer of the filter begins with. Nobody else's come through.
pub const PREFIX: &str = "farebox-";

/// An amount in plain notation, without zeros at its end.
pub fn plain(amount: Decimal) -> String {
    amount.normalize().to_string()
}

/// One thing that is told: its name in JSON and as a header, and what it says.
type Field = (&'static str, &'static str, String);

/// What is told.
fn fields(told: &Told) -> Vec<Field> {
    let mut fields = match &told.price {
        Ok(price) => {
            let credits = plain(price.credits.credits());
            vec![
                ("price_usd", "farebox-price-usd", plain(price.usd)),
                ("credits", "farebox-credits", credits),
            ]
        }
        Err(unpriced) => vec![("unpriced", "farebox-unpriced", unpriced.word().to_owned())],
    };
    let at = told.occurred_at_ms.to_string();
    fields.push(("occurred_at_ms", "farebox-occurred-at-ms", at));
    fields
}

/// The same as a JSON object of strings; with why there is no price, where more is known.
pub fn json(told: &Told) -> String {
    let fields = fields(told).into_iter();
    let mut fields: Vec<_> = fields.map(|(name, _, value)| (name, value)).collect();
    if let Err(Unpriced::Refused(refusal)) = &told.price {
        fields.push(("detail", detail(refusal)));
    }
    to_json(&Fields(fields))
}

struct Fields(Vec<(&'static str, String)>);

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// As JSON, written straight, without a tree. It cannot fail: whatever is said here has texts for keys.
pub fn to_json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn detail(refusal: &Refusal) -> String {
    refusal.to_string()
}

/// The same as headers or trailers.
pub fn headers(told: &Told) -> impl Iterator<Item = (&'static str, String)> {
    let fields = fields(told).into_iter();
    fields.map(|(_, header, value)| (header, value))
}

/// The same as the comment that ends a stream of server-sent events, where one may stand.
pub fn comment(told: &Told, place: Place) -> Option<String> {
    let end = match place {
        Place::Event => "\n\n",
        // The event before it was not ended by the provider, so it is not ended here.
        Place::Line => "\n",
        Place::Inside => return None,
    };
    Some(format!(": farebox {}{end}", json(told)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::Price;
    use farebox_sdk::pricing::money::Nanos;

    fn priced() -> Told {
        Told {
            price: Ok(Price {
                usd: Decimal::new(43_750, 7),
                credits: Nanos::new(43_750_000).unwrap(),
            }),
            occurred_at_ms: 1_795_219_200_000,
        }
    }

    #[test]
    fn amounts_are_plain_decimals() {
        let fields =
            r#"{"price_usd":"0.004375","credits":"0.04375","occurred_at_ms":"1795219200000"}"#;
        assert_eq!(json(&priced()), fields);
        assert_eq!(
            headers(&priced()).collect::<Vec<_>>(),
            [
                ("farebox-price-usd", "0.004375".to_owned()),
                ("farebox-credits", "0.04375".to_owned()),
                ("farebox-occurred-at-ms", "1795219200000".to_owned()),
            ]
        );
        // What the filter says is what it takes away of others.
        let unpriced = Told {
            price: Err(Unpriced::Encoded),
            ..priced()
        };
        for told in [priced(), unpriced] {
            assert!(headers(&told).all(|(name, _)| name.starts_with(PREFIX)));
        }
    }

    #[test]
    fn a_comment_never_ends_an_event_of_the_provider() {
        let told = Told {
            price: Err(Unpriced::Encoded),
            occurred_at_ms: 0,
        };
        let line = ": farebox {\"unpriced\":\"encoded\",\"occurred_at_ms\":\"0\"}\n";
        assert_eq!(comment(&told, Place::Event), Some(format!("{line}\n")));
        assert_eq!(comment(&told, Place::Line).as_deref(), Some(line));
        assert_eq!(comment(&told, Place::Inside), None);
    }
}
