//! A peer that speaks CURVE (RFC 26) byte by byte, so that every step of it can be spoiled.

use salsabox::BoxKey;
use transport::KeyPair;
use wire::PublicKey;
use x25519_dalek::StaticSecret;

use crate::raw_peer::{RawPeer, greeting};

/// What is wrong with a handshake.
#[derive(Clone, Debug)]
pub(crate) enum Spoiled {
    Nothing,
    HelloShort,
    HelloLong,
    HelloVersion,
    HelloBox,
    /// The client's ephemeral key has low order: every secret that is agreed on with it is zero.
    HelloLowOrder,
    HelloTwice,
    NoHello,
    MessageFirst,
    InitiateShort,
    CookieFlipped,
    /// A cookie that another connection got.
    Cookie(Vec<u8>),
    InitiateBox,
    /// The vouch is made with another key than the one that is claimed.
    VouchByAnother(KeyPair),
    VouchForAnotherServer,
    /// The vouch is for another ephemeral key, as one that was recorded would be.
    VouchForAnotherKey,
    LowOrderIdentity,
    Metadata(Vec<u8>),
    /// A routing id of the client's choice.
    Identity(Vec<u8>),
}

/// A connection after the greeting.
pub(crate) struct CurvePeer {
    peer: RawPeer,
    server_key: PublicKey,
    ephemeral: KeyPair,
}

/// A connection after the handshake.
pub(crate) struct SecuredPeer {
    pub(crate) peer: RawPeer,
    sealer: Sealer,
}

/// What seals the frames of one connection.
pub(crate) struct Sealer {
    key: BoxKey,
    pub(crate) counter: u64,
}

const COMMAND: u8 = 4;
const LONG: u8 = 2;

impl CurvePeer {
    pub(crate) fn greet(endpoint: &str, server_key: PublicKey) -> Self {
        let mut peer = RawPeer::silent(endpoint);
        peer.write(&greeting(b"CURVE"));
        peer.read(64);
        Self { peer, server_key, ephemeral: KeyPair::generate() }
    }

    /// `None` where the server ends the handshake.
    pub(crate) fn shake_hands(mut self, key: &KeyPair, spoiled: &Spoiled) -> Option<SecuredPeer> {
        let cookie_and_key = match spoiled {
            Spoiled::NoHello => vec![0x5a; 128],
            Spoiled::MessageFirst => {
                self.command(b"\x07MESSAGE\0\0\0\0\0\0\0\x01aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
                return self.hear().map(|_| panic!("a message before the handshake was answered"));
            }
            _ => {
                let hello = self.hello(spoiled);
                self.command(&hello);
                if let Spoiled::HelloTwice = spoiled {
                    self.command(&hello);
                    self.hear();
                }
                self.open_welcome()?
            }
        };
        let initiate = self.initiate(key, &cookie_and_key, spoiled);
        self.command(&initiate);
        let ready = self.hear()?;
        if !ready.starts_with(b"\x05READY") {
            assert!(ready.starts_with(b"\x05ERROR"), "{ready:?}");
            return None;
        }
        let server_ephemeral = PublicKey(cookie_and_key[..32].try_into().expect("32 bytes"));
        let key = shared(&self.ephemeral, server_ephemeral);
        Some(SecuredPeer { peer: self.peer, sealer: Sealer { key, counter: 2 } })
    }

    /// The cookie that the server gives to this connection.
    pub(crate) fn cookie(mut self) -> Vec<u8> {
        let hello = self.hello(&Spoiled::Nothing);
        self.command(&hello);
        self.open_welcome().expect("a welcome")[32..].to_vec()
    }

    fn hello(&self, spoiled: &Spoiled) -> Vec<u8> {
        let mut hello = b"\x05HELLO\x01\0".to_vec();
        hello.extend([0; 72]);
        hello.extend(self.ephemeral.public().0);
        hello.extend(1_u64.to_be_bytes());
        hello.extend(seal(
            &shared(&self.ephemeral, self.server_key),
            &short_nonce(b"CurveZMQHELLO---", 1),
            &[0; 64],
        ));
        match spoiled {
            Spoiled::HelloShort => hello.truncate(120),
            Spoiled::HelloLong => hello.push(0),
            Spoiled::HelloVersion => hello[6] = 2,
            Spoiled::HelloBox => hello[150] ^= 1,
            Spoiled::HelloLowOrder => hello[80..112].fill(0),
            _ => {}
        }
        hello
    }

    /// The server's ephemeral key, and the cookie behind it.
    fn open_welcome(&mut self) -> Option<Vec<u8>> {
        let welcome = self.hear()?;
        let rest = welcome.strip_prefix(b"\x07WELCOME")?;
        let mut nonce = *b"WELCOME-\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        nonce[8..].copy_from_slice(&rest[..16]);
        Some(open(&shared(&self.ephemeral, self.server_key), &nonce, &rest[16..]))
    }

    fn initiate(&self, key: &KeyPair, welcome: &[u8], spoiled: &Spoiled) -> Vec<u8> {
        let (server_ephemeral, cookie) = welcome.split_at(32);
        let server_ephemeral = PublicKey(server_ephemeral.try_into().expect("32 bytes"));
        let signer = if let Spoiled::VouchByAnother(other) = spoiled { other } else { key };
        let mut vouched = [self.ephemeral.public().0, self.server_key.0].concat();
        match spoiled {
            Spoiled::VouchForAnotherKey => vouched[0] ^= 1,
            Spoiled::VouchForAnotherServer => vouched[32] ^= 1,
            _ => {}
        }
        let vouch_nonce = *b"VOUCH---0123456789abcdef";
        let mut inner = key.public().0.to_vec();
        if let Spoiled::LowOrderIdentity = spoiled {
            inner.fill(0);
        }
        inner.extend(&vouch_nonce[8..]);
        inner.extend(seal(&shared(signer, server_ephemeral), &vouch_nonce, &vouched));
        match spoiled {
            Spoiled::Metadata(metadata) => inner.extend(metadata),
            Spoiled::Identity(identity) => {
                inner.extend([property("Socket-Type", b"DEALER"), property("Identity", identity)].concat());
            }
            _ => inner.extend(property("Socket-Type", b"DEALER")),
        }
        let mut cookie = cookie.to_vec();
        match spoiled {
            Spoiled::CookieFlipped => cookie[40] ^= 1,
            Spoiled::Cookie(other) => cookie.clone_from(other),
            _ => {}
        }
        let mut initiate = [b"\x08INITIATE".to_vec(), cookie, 2_u64.to_be_bytes().to_vec()].concat();
        let sealed =
            seal(&shared(&self.ephemeral, server_ephemeral), &short_nonce(b"CurveZMQINITIATE", 2), &inner);
        initiate.extend(sealed);
        match spoiled {
            Spoiled::InitiateShort => initiate.truncate(60),
            Spoiled::InitiateBox => initiate[140] ^= 1,
            _ => {}
        }
        initiate
    }

    fn command(&mut self, body: &[u8]) {
        self.peer.try_write(&frame(COMMAND, body));
    }

    fn hear(&mut self) -> Option<Vec<u8>> {
        self.peer.hear()
    }
}

impl SecuredPeer {
    pub(crate) fn into_parts(self) -> (RawPeer, Sealer) {
        (self.peer, self.sealer)
    }

    /// The counter of the last frame that was sent.
    pub(crate) fn counter(&self) -> u64 {
        self.sealer.counter
    }

    /// A message of one frame, as the next one of this connection.
    pub(crate) fn send(&mut self, body: &[u8]) {
        let sealed = self.sealer.seal(0, body);
        self.peer.try_write(&sealed);
    }

    /// The frame of a message, sealed with a counter of the caller's choice.
    pub(crate) fn sealed(&self, counter: u64, body: &[u8]) -> Vec<u8> {
        self.sealer.seal_as(counter, 0, body)
    }

    /// The body of the next message, `None` where the server has none to give any more.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        let message = self.peer.hear()?;
        let rest = message.strip_prefix(b"\x07MESSAGE")?;
        let counter = u64::from_be_bytes(rest[..8].try_into().expect("8 bytes"));
        let plain = open(&self.sealer.key, &short_nonce(b"CurveZMQMESSAGES", counter), &rest[8..]);
        Some(plain[1..].to_vec())
    }

    /// The next message as the server sealed it.
    pub(crate) fn receive_sealed(&mut self) -> Vec<u8> {
        frame(0, &self.peer.hear().expect("a message"))
    }
}

impl Sealer {
    /// The next frame; the flags stand inside, where nobody but the server sees them.
    pub(crate) fn seal(&mut self, flags: u8, body: &[u8]) -> Vec<u8> {
        self.counter += 1;
        self.seal_as(self.counter, flags, body)
    }

    fn seal_as(&self, counter: u64, flags: u8, body: &[u8]) -> Vec<u8> {
        let plain = [&[flags], body].concat();
        let mut message = b"\x07MESSAGE".to_vec();
        message.extend(counter.to_be_bytes());
        message.extend(seal(&self.key, &short_nonce(b"CurveZMQMESSAGEC", counter), &plain));
        frame(0, &message)
    }
}

/// A frame with its header (RFC 23).
pub(crate) fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let header = match u8::try_from(body.len()) {
        Ok(length) => vec![flags, length],
        Err(_) => [vec![flags | LONG], (body.len() as u64).to_be_bytes().to_vec()].concat(),
    };
    [header, body.to_vec()].concat()
}

/// A property of the metadata.
pub(crate) fn property(name: &str, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(name.len()).expect("a short name");
    let size = u32::try_from(value.len()).expect("a short value").to_be_bytes();
    [&[length], name.as_bytes(), &size, value].concat()
}

fn short_nonce(prefix: &[u8; 16], counter: u64) -> [u8; 24] {
    let mut nonce = [0; 24];
    nonce[..16].copy_from_slice(prefix);
    nonce[16..].copy_from_slice(&counter.to_be_bytes());
    nonce
}

fn shared(ours: &KeyPair, theirs: PublicKey) -> BoxKey {
    // A secret has the spelling of a public key.
    let secret = PublicKey::parse(&ours.reveal_secret()).expect("a key").0;
    let secret = StaticSecret::from(secret).diffie_hellman(&x25519_dalek::PublicKey::from(theirs.0));
    // With a key of low order nothing can be agreed on; what is sealed then cannot be opened either.
    BoxKey::from_shared_secret(secret.as_bytes())
        .unwrap_or_else(|| BoxKey::from_shared_secret(&[1; 32]).expect("a key"))
}

fn seal(key: &BoxKey, nonce: &[u8; 24], plain: &[u8]) -> Vec<u8> {
    let mut body = plain.to_vec();
    let tag = key.encrypt_detached(nonce, &mut body);
    [&tag[..], &body].concat()
}

fn open(key: &BoxKey, nonce: &[u8; 24], sealed: &[u8]) -> Vec<u8> {
    let (tag, body) = sealed.split_first_chunk().expect("a tag");
    let mut plain = body.to_vec();
    key.decrypt_detached(nonce, &mut plain, tag).expect("the server's box opens");
    plain
}
