//! Key pairs of CURVE (RFC 26): made here, and never shown but to a certificate's file.

use omq::{CurveKeypair, CurveSecretKey};
use wire::PublicKey;
use zeroize::Zeroizing;

/// A Curve25519 key pair. The secret is wiped when it is dropped, and no `Debug` shows it.
#[derive(Clone, Debug)]
pub struct KeyPair(CurveKeypair);

impl KeyPair {
    /// A new pair from the operating system's random numbers.
    pub fn generate() -> Self {
        Self(CurveKeypair::generate())
    }

    /// The pair of a secret key in Z85 (RFC 32), if it is one.
    pub fn from_secret(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(z85::decode(text).ok()?);
        let secret = CurveSecretKey::from_bytes(bytes.as_slice().try_into().ok()?);
        Some(Self(CurveKeypair { public: secret.derive_public(), secret }))
    }

    /// The half that others may know.
    pub fn public(&self) -> PublicKey {
        PublicKey(*self.0.public.as_bytes())
    }

    /// The secret half in Z85, to be written into a file that only its owner can read.
    pub fn reveal_secret(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.secret.to_z85())
    }

    pub(crate) fn into_inner(self) -> CurveKeypair {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::KeyPair;

    #[test]
    fn a_pair_comes_back_from_its_secret_and_shows_it_to_nobody() {
        let pair = KeyPair::generate();
        let secret = pair.reveal_secret();
        assert_eq!(KeyPair::from_secret(&secret).expect("a pair").public(), pair.public());
        assert_ne!(KeyPair::generate().public(), pair.public());
        assert!(!format!("{pair:?}").contains(secret.as_str()));
        for wrong in ["", "0", &secret[1..], &format!("{}\"", &secret[1..])] {
            assert!(KeyPair::from_secret(wrong).is_none());
        }
    }

    #[test]
    fn the_pair_of_the_zeromq_documentation_is_one() {
        // zmq_curve(7) gives this pair as its example of a server.
        let pair = KeyPair::from_secret("JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6").expect("a pair");
        assert_eq!(pair.public().to_string(), "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7");
    }
}
