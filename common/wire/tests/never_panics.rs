//! No bytes make the parsers panic, and a decoder never yields more than was announced.

#![allow(clippy::unwrap_used)]

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use types::limits;
use wire::frame::{Split, split};
use wire::{Compressor, Frame, op_compressed, op_msg, op_query, op_reply};

fn drive(bytes: &[u8]) {
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Split::Frame(frame)) = split(&mut buffer, limits::MESSAGE_BYTES_MAX) {
        op_msg::parse(&frame).ok();
        op_query::parse(&frame).ok();
        op_reply::parse(&frame).ok();
        if let Ok((inner, _)) = op_compressed::decompress(&frame, 1 << 20, |_| true) {
            op_msg::parse(&inner).ok();
        }
    }
}

proptest! {
    #[test]
    fn on_noise(content in proptest::collection::vec(any::<u8>(), 0..200), op_code in prop_oneof![Just(2013), Just(2004), Just(2012), Just(1)]) {
        let mut message = i32::try_from(16 + content.len()).unwrap().to_le_bytes().to_vec();
        message.extend_from_slice(&[0; 8]);
        message.extend_from_slice(&i32::to_le_bytes(op_code));
        message.extend_from_slice(&content);
        drive(&message);
    }

    #[test]
    fn on_damaged_messages(at in 0_usize..60, byte in any::<u8>(), checksum in any::<bool>()) {
        let body = bson::RawDocumentBuf::try_from(&bson::doc! {"insert": "c", "documents": [{"a": {"b": 1.5}}], "$db": "d"}).unwrap();
        let mut bytes = op_msg::encode(1, 0, u32::from(checksum), &body, []).unwrap().to_vec();
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        drive(&bytes);
    }

    #[test]
    fn decoders_yield_what_was_announced_or_nothing(data in proptest::collection::vec(any::<u8>(), 0..100), size in 0_usize..300, flip in 0_usize..120) {
        for compressor in Compressor::OFFERED {
            let mut packed = compressor.compress(&data).unwrap();
            if let Some(place) = packed.get_mut(flip) {
                *place ^= 0x55;
            }
            if let Ok(out) = compressor.decompress(&packed, size) {
                prop_assert_eq!(out.len(), size);
            }
        }
        Frame::from_message(Bytes::from(data), limits::MESSAGE_BYTES_MAX).ok();
    }
}
