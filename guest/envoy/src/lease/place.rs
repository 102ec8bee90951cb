//! One entry of what workers share: the leases of all keys that fall into it.
//!
//! The proxy keeps an entry for as long as it runs and cannot take one out. So entries are not the
//! keys', of which there are always new ones, but a fixed number of places that keys share; a key
//! without leases has nothing in its place. Must not know the proxy.

use super::Leases;

/// How many characters of a name, a hash's last, say in which place it is: 65,536 places.
const PLACE_CHARS: usize = 4;

/// The name of the place that the leases of this name are in.
pub fn place(name: &str) -> String {
    let at = name.len().saturating_sub(PLACE_CHARS);
    format!("farebox:{}", name.get(at..).unwrap_or_default())
}

/// The leases of this name, of what its place has.
pub fn read(place: &[u8], name: &str) -> Leases {
    let own = parts(place).find(|(of, _)| *of == name.as_bytes());
    own.map_or_else(Leases::default, |(_, leases)| Leases::from_bytes(leases))
}

/// What the place has when these are the leases of this name.
pub fn with(place: &[u8], name: &str, leases: &Leases) -> Vec<u8> {
    let mut out = Vec::with_capacity(place.len().saturating_add(256));
    for (of, leases) in parts(place) {
        if of != name.as_bytes() {
            put(&mut out, of, leases);
        }
    }
    if !leases.is_empty() {
        put(&mut out, name.as_bytes(), &leases.to_bytes());
    }
    out
}

/// Each name with its leases. What is not whole is not there.
fn parts(place: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = place;
    std::iter::from_fn(move || {
        let mut text = || {
            let (length, after) = rest.split_first_chunk()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (text, after) = after.split_at_checked(length)?;
            rest = after;
            Some(text)
        };
        Some((text()?, text()?))
    })
}

fn put(out: &mut Vec<u8>, name: &[u8], leases: &[u8]) {
    for text in [name, leases] {
        let length = u32::try_from(text.len()).unwrap_or_default();
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::leased;
    use super::*;

    #[test]
    fn keys_of_one_place_do_not_see_each_other_and_leave_nothing_there() {
        let (one, other) = (leased(5), leased(10));
        let both = with(b"", "farebox:a", &one);
        let both = with(&both, "farebox:b", &other);
        assert_eq!(read(&both, "farebox:a"), one);
        assert_eq!(read(&both, "farebox:b"), other);
        assert_eq!(read(&both, "farebox:c"), Leases::default());
        let changed = with(&both, "farebox:a", &other);
        assert_eq!(read(&changed, "farebox:a"), other);
        assert_eq!(read(&changed, "farebox:b"), other);
        let last = with(&both, "farebox:a", &Leases::default());
        assert_eq!(last, with(b"", "farebox:b", &other));
        assert!(with(&last, "farebox:b", &Leases::default()).is_empty());
    }

    /// It may be of a filter that still runs.
    #[test]
    fn what_another_version_keeps_there_stays() {
        let mut foreign = Vec::new();
        put(&mut foreign, b"farebox:a", b"\xffwhatever");
        let both = with(&foreign, "farebox:b", &leased(5));
        assert!(both.starts_with(&foreign));
        assert_eq!(with(&both, "farebox:b", &Leases::default()), foreign);
    }

    #[test]
    fn places_are_few_and_a_damaged_one_is_read_as_far_as_it_goes() {
        let hash = "0123456789abcdef";
        assert_eq!(place(&format!("farebox:books:{hash}")), "farebox:cdef");
        assert_eq!(place("x"), "farebox:x");
        let whole = with(b"", "farebox:a", &leased(5));
        for cut in 0..whole.len() {
            assert_eq!(read(&whole[..cut], "farebox:a"), Leases::default());
        }
    }
}
