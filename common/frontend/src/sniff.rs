//! Who speaks on a new connection, told from its first bytes.

/// Bytes that are enough to tell.
pub(crate) const SNIFF_BYTES: usize = 4;

/// The speaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    /// HTTP/2 preface: a peer on the gRPC door.
    Grpc,
    /// A browser or a health check.
    Http,
    /// Anything else is taken for the wire protocol.
    Wire,
}

/// Tells the speaker. Neither word is a possible message length, so no wire client is mistaken.
pub(crate) fn speaker(first: &[u8]) -> Speaker {
    match first.first_chunk::<SNIFF_BYTES>() {
        Some(b"PRI ") => Speaker::Grpc,
        Some(b"GET ") => Speaker::Http,
        _ => Speaker::Wire,
    }
}

/// Whether bytes that were no message look like a TLS ClientHello: a handshake record of TLS 1.x.
pub(crate) fn is_tls(first: &[u8]) -> bool {
    matches!(first, [0x16, 0x03, 0..=4, ..])
}

/// The whole answer to an HTTP request.
pub(crate) const HTTP_ANSWER: &[u8] = b"HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\n\
Content-Length: 100\r\n\r\nThis is the native driver port of a database. \
Connect a driver or mongosh here; it speaks no HTTP.\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speakers() {
        for (bytes, wanted) in [
            (&b"PRI * HTTP/2.0"[..], Speaker::Grpc),
            (b"GET / HTTP/1.1", Speaker::Http),
            (b"\x30\0\0\0", Speaker::Wire),
            (b"PR", Speaker::Wire),
        ] {
            assert_eq!(speaker(bytes), wanted, "{bytes:?}");
        }
        assert!(is_tls(b"\x16\x03\x01\x02\0\x01") && !is_tls(b"\x17\x03\x01"));
    }

    #[test]
    fn the_http_answer_tells_its_length() {
        let text = std::str::from_utf8(HTTP_ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }
}
