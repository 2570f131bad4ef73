//! CRC-32C, as the last four bytes of an OP_MSG with `checksumPresent` carry it.

/// The checksum of everything before the checksum itself, header included.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_published_check_value() {
        assert_eq!(super::crc32c(b"123456789"), 0xE306_9283);
    }
}
