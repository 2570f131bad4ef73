//! Messages as bytes, right or wrong on purpose. Lengths are filled in only where a row does not lie about them.

use bson::{Document, doc};
use tests::driver::raw;
use wire::{Compressor, op_compressed, op_msg, op_query};

pub(crate) const OP_MSG: i32 = 2013;
pub(crate) const OP_COMPRESSED: i32 = 2012;

/// A header in front of `content`.
pub(crate) fn message(op_code: i32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + content.len());
    for word in [i32::try_from(16 + content.len()).unwrap(), 7, 0, op_code] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(content);
    out
}

/// The header alone, of a message of any length.
pub(crate) fn header(length: i32, op_code: i32) -> Vec<u8> {
    let mut out = message(op_code, &[]);
    out[..4].copy_from_slice(&length.to_le_bytes());
    out
}

/// An OP_MSG of flags and sections.
pub(crate) fn msg(flags: u32, sections: &[&[u8]]) -> Vec<u8> {
    let mut content = flags.to_le_bytes().to_vec();
    content.extend(sections.iter().copied().flatten());
    message(OP_MSG, &content)
}

/// A body section.
pub(crate) fn body(document: &[u8]) -> Vec<u8> {
    [&[0], document].concat()
}

/// A section of documents.
pub(crate) fn sequence(name: &str, documents: &[&[u8]]) -> Vec<u8> {
    let content: usize = documents.iter().map(|document| document.len()).sum();
    let mut out = sequence_of(i32::try_from(4 + name.len() + 1 + content).unwrap(), name);
    out.extend(documents.iter().copied().flatten());
    out
}

/// The begin of a sequence with any length.
pub(crate) fn sequence_of(length: i32, name: &str) -> Vec<u8> {
    let mut out = vec![1];
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    out
}

/// A command as an OP_MSG.
pub(crate) fn command(db: &str, mut command: Document) -> Vec<u8> {
    command.insert("$db", db);
    op_msg::encode(7, 0, 0, &raw(&command), []).unwrap().to_vec()
}

/// A command in a handshake's form.
pub(crate) fn query(command: &Document) -> Vec<u8> {
    op_query::encode(7, "admin", &raw(command)).unwrap().to_vec()
}

pub(crate) fn ping() -> Vec<u8> {
    command("admin", doc! { "ping": 1 })
}

/// A ping with other flags.
pub(crate) fn ping_with(flags: u32) -> Vec<u8> {
    let mut bytes = ping();
    bytes[16..20].copy_from_slice(&flags.to_le_bytes());
    bytes
}

/// A ping with a correct or wrong checksum.
pub(crate) fn ping_with_checksum(difference: u32) -> Vec<u8> {
    let document = raw(&doc! { "ping": 1, "$db": "admin" });
    let mut bytes = op_msg::encode(7, 0, op_msg::CHECKSUM_PRESENT, &document, []).unwrap().to_vec();
    let place = bytes.len() - 4;
    let sum = u32::from_le_bytes(bytes[place..].try_into().unwrap());
    bytes[place..].copy_from_slice(&(sum ^ difference).to_le_bytes());
    bytes
}

/// An OP_MSG whose body document is these bytes.
pub(crate) fn with_document(document: &[u8]) -> Vec<u8> {
    msg(0, &[&body(document)])
}

/// A document of these elements, with a right length and end.
pub(crate) fn document(elements: &[u8]) -> Vec<u8> {
    let mut out = i32::try_from(elements.len() + 5).unwrap().to_le_bytes().to_vec();
    out.extend_from_slice(elements);
    out.push(0);
    out
}

/// An element: type, name, value as it is.
pub(crate) fn element(kind: u8, name: &str, value: &[u8]) -> Vec<u8> {
    [&[kind], name.as_bytes(), &[0], value].concat()
}

/// A string's value.
pub(crate) fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = i32::try_from(bytes.len() + 1).unwrap().to_le_bytes().to_vec();
    out.extend_from_slice(bytes);
    out.push(0);
    out
}

/// `{insert: "c", $db, documents: [...]}` around a document that no library would write.
pub(crate) fn insert_of(db: &str, inserted: &[u8]) -> Vec<u8> {
    let elements = [
        element(2, "insert", &string(b"c")),
        element(4, "documents", &document(&element(3, "0", inserted))),
        element(2, "$db", &string(db.as_bytes())),
    ];
    with_document(&document(&elements.concat()))
}

/// A ping with one more element, of which the row decides.
pub(crate) fn ping_and(extra: &[u8]) -> Vec<u8> {
    let elements =
        [element(16, "ping", &1_i32.to_le_bytes()), extra.to_vec(), element(2, "$db", &string(b"admin"))];
    with_document(&document(&elements.concat()))
}

/// `{a: {a: {a: … }}}` of so many levels. Built from the inside by length arithmetic, because 100,000 levels recurse
/// nowhere here.
pub(crate) fn nested(levels: usize) -> Vec<u8> {
    // Each level has a length, an element `\x03 a \0` and an end: 8 bytes around the next one; the innermost is empty.
    let mut out = Vec::with_capacity(levels * 8 + 5);
    for level in (1..levels).rev() {
        out.extend_from_slice(&i32::try_from(level * 8 + 5).unwrap().to_le_bytes());
        out.extend_from_slice(b"\x03a\0");
    }
    out.extend_from_slice(&5_i32.to_le_bytes());
    out.extend(std::iter::repeat_n(0, levels));
    out
}

/// A compressed message with a prefix of the row's choice.
pub(crate) fn compressed(op_code: i32, size: i32, compressor: u8, data: &[u8]) -> Vec<u8> {
    let mut content = op_code.to_le_bytes().to_vec();
    content.extend_from_slice(&size.to_le_bytes());
    content.push(compressor);
    content.extend_from_slice(data);
    message(OP_COMPRESSED, &content)
}

/// What follows the header of a ping, compressed; and its real size.
pub(crate) fn squeezed_ping(compressor: Compressor) -> (Vec<u8>, i32) {
    let content = &ping()[16..];
    (compressor.compress(content).unwrap(), i32::try_from(content.len()).unwrap())
}

/// A whole message in compressed form.
pub(crate) fn squeeze(message: &[u8], compressor: Compressor) -> Vec<u8> {
    op_compressed::compress(message, compressor).unwrap().to_vec()
}
