//! Which build of the filter this is: the digest that the build put into the module, which the host
//! knows as belonging to a component of the same policy, or refuses.

use farebox_stamp::{Stamp, UNSTAMPED, stated};
use std::hint::black_box;
use std::sync::OnceLock;

/// The place that the build fills.
static STAMP: Stamp = UNSTAMPED;

/// SHA-256 of this module in hexadecimal; zeros where the build did not put it in, which no host
/// knows.
pub fn filter() -> &'static str {
    static FILTER: OnceLock<String> = OnceLock::new();
    FILTER.get_or_init(|| {
        // What is compiled is not what runs: the value must be read, and not be known beforehand.
        let stamp: &Stamp = black_box(&STAMP);
        hex::encode(stated(stamp).unwrap_or_default())
    })
}
