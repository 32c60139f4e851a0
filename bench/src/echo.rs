//! The bare echo: a ROUTER of the library that bidden uses, with the same options, that answers every message with
//! one constant. It reads no request and keeps no log: it shows what the library alone costs.

use std::path::Path;

use anyhow::{Context, Result};
use bytes::Bytes;
use omq::{
    CurveKeypair, CurveSecretKey, CurveServerOptions, MechanismSetup, Message, Options, Socket, SocketType,
    TrySendError,
};

/// As long as bidden's reply to the computation of this benchmark.
pub(crate) const REPLY: &[u8] = br#"{"status":"success","result":80,"job":"00000000","duration_ms":0.012}"#;

const BATCH: usize = 256;
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// Serves on a free loopback port, which it prints on stderr, until it is killed: in plain text, or with CURVE under the
/// key of the first certificate for the one client of the second.
pub(crate) fn serve(certificates: Option<(&Path, &Path)>) -> Result<()> {
    // One thread is faster than several here, and `recv_many_into` than `recv`. The library's default profile for a
    // ROUTER, throughput, handles several times as many requests in flight as its latency profile.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut options = Options::default().max_message_size(MAX_MESSAGE_BYTES).router_mandatory(true);
        if let Some((server, client)) = certificates {
            options.mechanism = curve(server, client)?;
        }
        let socket = Socket::try_new(SocketType::Router, options)?;
        let endpoint = socket.bind("tcp://127.0.0.1:0").await?;
        eprintln!("echo listening on {endpoint}");
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            socket.recv_many_into(BATCH, &mut batch).await?;
            for message in batch.drain(..) {
                answer(&socket, &message).await?;
            }
        }
    })
}

fn curve(server: &Path, client: &Path) -> Result<MechanismSetup> {
    let secret = CurveSecretKey::from_z85(&transport::read_key_pair(server)?.reveal_secret())?;
    let admitted = transport::read_public_key(client)?.0;
    Ok(MechanismSetup::CurveServer {
        our_keypair: CurveKeypair { public: secret.derive_public(), secret },
        options: CurveServerOptions::new().authenticator(move |peer| peer.public_key == admitted),
    })
}

async fn answer(socket: &Socket, message: &Message) -> Result<()> {
    let sender = message.part_slice(0).context("a message without its sender")?;
    let reply = Message::with_prefix(Bytes::new(), Message::single(Bytes::from_static(REPLY)));
    match socket.try_send_to(sender, reply) {
        Err(TrySendError::Full(reply)) => match socket.send_to(sender, reply).await {
            Ok(()) | Err(omq::Error::Unroutable) => Ok(()),
            Err(error) => Err(error.into()),
        },
        Ok(()) | Err(TrySendError::Error(omq::Error::Unroutable)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
