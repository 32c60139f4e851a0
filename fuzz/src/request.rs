//! The request decoder.

use wire::decode_request;
use wire::limits::MAX_REQUEST_BYTES;

/// What decodes comes back the same after encoding and decoding; what does not is refused in words.
pub fn request(frame: &[u8]) {
    match decode_request(frame) {
        Ok(request) => {
            let encoded = request.encode();
            // Keys that were left out are written, so a request at the limit may grow past it.
            if encoded.len() <= MAX_REQUEST_BYTES {
                assert_eq!(decode_request(&encoded).as_ref(), Ok(&request));
            }
        }
        Err(refusal) => assert!(!refusal.message.is_empty()),
    }
}
