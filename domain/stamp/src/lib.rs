//! The digest that a filter carries of itself.
//!
//! A proxy does not tell a module which file it was made from, and a module cannot read its own code.
//! What an operator writes into the proxy's configuration beside the file is forgotten when the file
//! changes. So the build puts the SHA-256 of the file into the file, at a marked place that is blank
//! when the hash is made: the running filter can say it, and whoever has the file can check it.
//!
//! It tells one build from another. It proves nothing of who runs it: what a proxy says it runs is
//! its operator's word. Must not know what a filter does.

use sha2::{Digest as _, Sha256};

/// What stands before the digest. Nothing else in a filter says this.
const MARK: [u8; 16] = *b"farebox.filter=\0";
const DIGEST_BYTES: usize = 32;
/// What stands in the place of the digest before the build has put it there: zeros at the end of a
/// segment could be left out of the file.
const BLANK: [u8; DIGEST_BYTES] = [0xFF; DIGEST_BYTES];

/// Bytes of a [`Stamp`].
pub const STAMP_BYTES: usize = 48;

/// The place in a filter: a static of it is found in the file.
pub type Stamp = [u8; STAMP_BYTES];

/// The place as it is compiled.
pub const UNSTAMPED: Stamp = {
    let mut stamp = [0xFF; STAMP_BYTES];
    let (mark, _) = stamp.split_at_mut(MARK.len());
    mark.copy_from_slice(&MARK);
    stamp
};

/// Why a file has no digest of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// It has no place for one.
    #[error("it is no filter of Farebox's: it has no place for a digest of its own")]
    NoPlace,
    /// More than one place says that it is it.
    #[error("it has more than one place for a digest of its own")]
    SeveralPlaces,
    /// The build did not put it there.
    #[error("it does not carry its digest yet: `cargo xtask guests` puts it there")]
    Unstamped,
    /// It was changed since.
    #[error("it carries another digest than its own: it was changed after it was built")]
    Changed,
}

/// The digest that a filter states of itself, from its own place; `None` where the build left it
/// blank.
pub fn stated(stamp: &Stamp) -> Option<[u8; DIGEST_BYTES]> {
    let (_, digest) = stamp.split_last_chunk::<DIGEST_BYTES>()?;
    (*digest != BLANK).then_some(*digest)
}

/// Puts the digest of a filter's file into it. Done again it changes nothing.
///
/// # Errors
/// `NoPlace` or `SeveralPlaces`.
pub fn put(file: &mut [u8]) -> Result<[u8; DIGEST_BYTES], StampError> {
    let at = place(file)?;
    let digest = own(file, at);
    if let Some(place) = file.get_mut(at..at.saturating_add(DIGEST_BYTES)) {
        place.copy_from_slice(&digest);
    }
    Ok(digest)
}

/// The digest of a filter's file, which it carries.
///
/// # Errors
/// See [`StampError`].
pub fn read(file: &[u8]) -> Result<[u8; DIGEST_BYTES], StampError> {
    let at = place(file)?;
    let carried = file.get(at..at.saturating_add(DIGEST_BYTES));
    if carried == Some(&BLANK) {
        return Err(StampError::Unstamped);
    }
    let digest = own(file, at);
    if carried == Some(&digest) {
        Ok(digest)
    } else {
        Err(StampError::Changed)
    }
}

/// Where the digest stands: after the one mark.
fn place(file: &[u8]) -> Result<usize, StampError> {
    let mut marks = file
        .windows(STAMP_BYTES)
        .enumerate()
        .filter(|(_, window)| window.starts_with(&MARK));
    let (at, _) = marks.next().ok_or(StampError::NoPlace)?;
    match marks.next() {
        None => Ok(at.saturating_add(MARK.len())),
        Some(_) => Err(StampError::SeveralPlaces),
    }
}

/// The hash of the file with a blank place.
fn own(file: &[u8], at: usize) -> [u8; DIGEST_BYTES] {
    let (before, after) = file.split_at_checked(at).unwrap_or((file, &[]));
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(BLANK);
    hash.update(after.get(DIGEST_BYTES..).unwrap_or_default());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        [b"\0asm before".as_slice(), &UNSTAMPED, b"after"].concat()
    }

    #[test]
    fn a_file_carries_its_digest_and_every_other_file_another() {
        assert_eq!(read(&file()), Err(StampError::Unstamped));
        let mut stamped = file();
        let digest = put(&mut stamped).unwrap();
        assert_eq!(read(&stamped), Ok(digest));
        assert_eq!(stamped.len(), file().len());
        let again = stamped.clone();
        assert_eq!(put(&mut stamped), Ok(digest));
        assert_eq!(stamped, again);
        let mut other = file();
        *other.last_mut().unwrap() = b'R';
        assert_ne!(put(&mut other), Ok(digest));
    }

    #[test]
    fn a_filter_says_what_the_build_put_there() {
        let mut stamped = file();
        let digest = put(&mut stamped).unwrap();
        let at = place(&stamped).unwrap() - MARK.len();
        let own: Stamp = stamped[at..][..STAMP_BYTES].try_into().unwrap();
        assert_eq!(stated(&own), Some(digest));
        assert_eq!(stated(&UNSTAMPED), None);
    }

    #[test]
    fn no_bit_of_a_stamped_file_can_be_flipped_unseen() {
        let mut stamped = file();
        put(&mut stamped).unwrap();
        for at in 0..stamped.len() {
            let mut flipped = stamped.clone();
            flipped[at] ^= 1;
            assert!(read(&flipped).is_err(), "byte {at}");
        }
    }

    #[test]
    fn what_has_no_place_or_two_is_refused() {
        assert_eq!(read(b"\0asm"), Err(StampError::NoPlace));
        let twice = [file(), file()].concat();
        assert_eq!(read(&twice), Err(StampError::SeveralPlaces));
        assert_eq!(put(&mut twice.clone()), Err(StampError::SeveralPlaces));
    }
}
