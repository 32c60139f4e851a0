//! Public keys: what a user is, on the wire and in files.

use std::fmt;

/// Length of a key in Z85 (RFC 32), as certificates spell it.
const Z85_LENGTH: usize = 40;

/// A Curve25519 public key (RFC 26).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Reads the 40 characters of Z85 that stand in certificates.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != Z85_LENGTH {
            return None;
        }
        let bytes = z85::decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

/// The 40 characters of Z85.
impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&z85::encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::PublicKey;
    use proptest::prelude::*;

    #[test]
    fn only_forty_characters_of_z85_are_a_key() {
        // The example key of RFC 32's test vectors, as libzmq's documentation spells it.
        let text = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
        assert_eq!(PublicKey::parse(text).map(|key| key.to_string()).as_deref(), Some(text));
        for wrong in ["", "rq:rM", &text[1..], &format!("{text}0"), &text.replace('r', "\""), &"ü".repeat(20)]
        {
            assert_eq!(PublicKey::parse(wrong), None, "{wrong}");
        }
        // 2^32 has no place in four bytes.
        assert_eq!(PublicKey::parse(&"#".repeat(40)), None);
    }

    proptest! {
        #[test]
        fn spelling_and_parsing_are_inverse(bytes in any::<[u8; 32]>()) {
            prop_assert_eq!(PublicKey::parse(&PublicKey(bytes).to_string()), Some(PublicKey(bytes)));
        }
    }
}
