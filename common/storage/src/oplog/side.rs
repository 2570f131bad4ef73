//! Writes beside the entry that every member makes: today those of `config.transactions`. They name the collection by its UUID and
//! the record by its key, for idents are each member's own. Bytes in FORMAT.md.

use super::record::{TOMBSTONE, take, take_u32};
use crate::Error;
use crate::versions::Value;
use bytes::Bytes;
use types::{OpTime, Uuid};

/// One record as it is afterwards.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SideWrite {
    pub uuid: Uuid,
    pub record_key: Bytes,
    pub value: Value,
}

/// Nothing for no writes.
pub(crate) fn encode(writes: &[SideWrite]) -> Bytes {
    if writes.is_empty() {
        return Bytes::new();
    }
    let mut out = Vec::with_capacity(64 * writes.len());
    out.extend_from_slice(&(writes.len() as u32).to_le_bytes());
    for SideWrite { uuid, record_key, value } in writes {
        out.extend_from_slice(&uuid.0);
        out.extend_from_slice(&(record_key.len() as u32).to_le_bytes());
        out.extend_from_slice(record_key);
        let length = value.as_ref().map_or(TOMBSTONE, |value| value.len() as u32);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(value.as_deref().unwrap_or_default());
    }
    Bytes::from(out)
}

pub(crate) fn decode(side: &Bytes, at: OpTime) -> Result<Vec<SideWrite>, Error> {
    parse(side.clone()).ok_or_else(|| Error::Damaged(format!("side writes of the log record at {at}")))
}

fn parse(mut bytes: Bytes) -> Option<Vec<SideWrite>> {
    let mut writes = Vec::new();
    if bytes.is_empty() {
        return Some(writes);
    }
    for _ in 0..take_u32(&mut bytes)? {
        let uuid = Uuid(take(&mut bytes, 16)?.as_ref().try_into().ok()?);
        let length = take_u32(&mut bytes)?;
        let record_key = take(&mut bytes, length as usize)?;
        let value = match take_u32(&mut bytes)? {
            TOMBSTONE => None,
            length => Some(take(&mut bytes, length as usize)?),
        };
        writes.push(SideWrite { uuid, record_key, value });
    }
    bytes.is_empty().then_some(writes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_read_back_and_a_cut_is_noticed() {
        let write = |key: &'static [u8], value: Option<&'static [u8]>| SideWrite {
            uuid: Uuid([7; 16]),
            record_key: Bytes::from_static(key),
            value: value.map(Bytes::from_static),
        };
        let writes = [write(b"a", Some(b"value")), write(b"", None)];
        let bytes = encode(&writes);
        assert_eq!(decode(&bytes, OpTime::default()).unwrap(), writes);
        assert!(encode(&[]).is_empty() && parse(Bytes::new()) == Some(Vec::new()));
        for end in 1..bytes.len() {
            assert_eq!(parse(bytes.slice(..end)), None);
        }
    }
}
