//! The client's side of CURVE (RFC 26): the handshake, and the boxes that frames travel in. Written out here for the
//! same reason as the rest of the load generator: so that it costs less than the servers that it measures.

use anyhow::{Context, Result, ensure};
use salsabox::BoxKey;
use transport::KeyPair;
use wire::PublicKey;
use x25519_dalek::StaticSecret;

/// Who the client is, and who the server has to be.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) client: KeyPair,
    pub(crate) server: PublicKey,
}

/// What seals and opens the frames of one connection.
pub(crate) struct Cipher {
    key: BoxKey,
    counter: u64,
    opened: Vec<u8>,
}

const MESSAGE: &[u8; 8] = b"\x07MESSAGE";
const NONCE_BYTES: usize = 8;
const TAG_BYTES: usize = 16;

/// The handshake between its steps.
pub(crate) struct Handshake<'k> {
    keys: &'k Keys,
    ephemeral: KeyPair,
}

impl<'k> Handshake<'k> {
    pub(crate) fn new(keys: &'k Keys) -> Self {
        Self { keys, ephemeral: KeyPair::generate() }
    }

    pub(crate) fn hello(&self) -> Result<Vec<u8>> {
        let key = shared(&self.ephemeral, self.keys.server)?;
        let mut hello = b"\x05HELLO\x01\0".to_vec();
        hello.extend([0; 72]);
        hello.extend(self.ephemeral.public().0);
        hello.extend(1_u64.to_be_bytes());
        hello.extend(seal(&key, &nonce(*b"CurveZMQHELLO---", 1), &[0; 64]));
        Ok(hello)
    }

    /// Answers the server's WELCOME. The cipher holds from the server's READY on.
    pub(crate) fn initiate(&self, welcome: &[u8], metadata: &[u8]) -> Result<(Vec<u8>, Cipher)> {
        let rest = welcome.strip_prefix(b"\x07WELCOME").context("no WELCOME")?;
        let (suffix, sealed) = rest.split_first_chunk::<16>().context("a short WELCOME")?;
        let key = shared(&self.ephemeral, self.keys.server)?;
        let opened = open(&key, &long_nonce(*b"WELCOME-", *suffix), sealed)?;
        let (server_ephemeral, cookie) = opened.split_first_chunk::<32>().context("a short WELCOME")?;
        let server_ephemeral = PublicKey(*server_ephemeral);
        let vouched = [self.ephemeral.public().0, self.keys.server.0].concat();
        let vouch_key = shared(&self.keys.client, server_ephemeral)?;
        let vouch = seal(&vouch_key, &long_nonce(*b"VOUCH---", [7; 16]), &vouched);
        let inner = [&self.keys.client.public().0[..], &[7; 16], &vouch, metadata].concat();
        let key = shared(&self.ephemeral, server_ephemeral)?;
        let sealed = seal(&key, &nonce(*b"CurveZMQINITIATE", 2), &inner);
        let initiate = [b"\x08INITIATE", cookie, &2_u64.to_be_bytes(), &sealed].concat();
        Ok((initiate, Cipher { key, counter: 2, opened: Vec::new() }))
    }
}

impl Cipher {
    /// Appends the body of a frame that carries these flags and bytes.
    pub(crate) fn seal_into(&mut self, flags: u8, plain: &[u8], out: &mut Vec<u8>) {
        self.counter += 1;
        out.extend_from_slice(MESSAGE);
        out.extend_from_slice(&self.counter.to_be_bytes());
        let tag_at = out.len();
        out.extend_from_slice(&[0; TAG_BYTES]);
        let box_at = out.len();
        out.push(flags);
        out.extend_from_slice(plain);
        let nonce = nonce(*b"CurveZMQMESSAGEC", self.counter);
        let tag = self.key.encrypt_detached(&nonce, out.get_mut(box_at..).unwrap_or_default());
        out.get_mut(tag_at..box_at).unwrap_or_default().copy_from_slice(&tag);
    }

    /// What [`Self::seal_into`] makes of so many bytes.
    pub(crate) fn sealed_length(plain: usize) -> usize {
        MESSAGE.len() + NONCE_BYTES + TAG_BYTES + 1 + plain
    }

    /// The flags and the bytes of a frame.
    pub(crate) fn open(&mut self, frame: &[u8]) -> Result<(u8, &[u8])> {
        let rest = frame.strip_prefix(MESSAGE).context("a frame that is no MESSAGE")?;
        let (counter, rest) = rest.split_first_chunk::<NONCE_BYTES>().context("a short MESSAGE")?;
        let (tag, sealed) = rest.split_first_chunk::<TAG_BYTES>().context("a short MESSAGE")?;
        self.opened.clear();
        self.opened.extend_from_slice(sealed);
        let nonce = nonce(*b"CurveZMQMESSAGES", u64::from_be_bytes(*counter));
        let opened = self.key.decrypt_detached(&nonce, &mut self.opened, tag);
        ensure!(opened.is_ok(), "a MESSAGE that cannot be opened");
        let (flags, plain) = self.opened.split_first().context("an empty MESSAGE")?;
        Ok((*flags, plain))
    }
}

fn nonce(prefix: [u8; 16], counter: u64) -> [u8; 24] {
    let mut nonce = [0; 24];
    let (name, number) = nonce.split_at_mut(16);
    name.copy_from_slice(&prefix);
    number.copy_from_slice(&counter.to_be_bytes());
    nonce
}

fn long_nonce(prefix: [u8; 8], suffix: [u8; 16]) -> [u8; 24] {
    let mut nonce = [0; 24];
    let (name, rest) = nonce.split_at_mut(8);
    name.copy_from_slice(&prefix);
    rest.copy_from_slice(&suffix);
    nonce
}

fn shared(ours: &KeyPair, theirs: PublicKey) -> Result<BoxKey> {
    // A secret key has the spelling of a public one.
    let secret = PublicKey::parse(&ours.reveal_secret()).context("a key")?.0;
    let agreed = StaticSecret::from(secret).diffie_hellman(&x25519_dalek::PublicKey::from(theirs.0));
    BoxKey::from_shared_secret(agreed.as_bytes()).context("a key of low order")
}

fn seal(key: &BoxKey, nonce: &[u8; 24], plain: &[u8]) -> Vec<u8> {
    let mut body = plain.to_vec();
    let tag = key.encrypt_detached(nonce, &mut body);
    [&tag[..], &body].concat()
}

fn open(key: &BoxKey, nonce: &[u8; 24], sealed: &[u8]) -> Result<Vec<u8>> {
    let (tag, body) = sealed.split_first_chunk::<TAG_BYTES>().context("a short box")?;
    let mut plain = body.to_vec();
    ensure!(key.decrypt_detached(nonce, &mut plain, tag).is_ok(), "a box that cannot be opened");
    Ok(plain)
}
