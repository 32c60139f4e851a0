//! Second stage: what is asked? The closed schema is `wire`'s; here its verdict becomes a stage of the way.

use std::sync::Arc;

use wire::{ErrorCode, Request, decode_request};

use crate::authenticate::Authenticated;
use crate::entry::{Asked, Entry};
use crate::policy::User;
use crate::refusal::Refusal;

/// A request whose sender and meaning are known.
pub(crate) struct Decoded<'f> {
    user: Arc<User>,
    request: Request<'f>,
}

impl<'f> Decoded<'f> {
    pub(crate) fn into_parts(self) -> (Arc<User>, Request<'f>) {
        (self.user, self.request)
    }
}

/// Reads the request, or says which key of it is wrong.
pub(crate) fn decode<'f>(
    authenticated: Authenticated<'f>,
    entry: &mut Entry<'f>,
) -> Result<Decoded<'f>, Refusal> {
    let (user, body) = authenticated.into_parts();
    let Some(body) = body else {
        return Err(Refusal::open(ErrorCode::InvalidRequest, "a request is one frame"));
    };
    match decode_request(body) {
        Ok(request) => {
            entry.asked = Asked::Json(body);
            entry.id.clone_from(&request.id);
            Ok(Decoded { user, request })
        }
        Err(error) => {
            entry.id = error.id;
            Err(Refusal::open(error.code, error.message))
        }
    }
}
