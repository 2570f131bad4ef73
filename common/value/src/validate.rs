//! The door: whether bytes are a well-formed BSON document. Everything behind it trusts them.
//! Iterative, with one depth counter for documents, arrays and scopes alike. Strings are not checked for UTF-8, which MongoDB
//! stores as it gets it; names and regular expressions are.

use crate::element::invalid;
use types::{Code, Fault};

/// Checks one whole document that may nest up to `depth_max` levels, the outermost counted.
///
/// # Errors
/// `InvalidBSON` (22) for bytes that do not follow the specification, `Overflow` (15) for nesting beyond the limit.
pub fn document(bytes: &[u8], depth_max: usize) -> Result<(), Fault> {
    let mut cursor = Cursor { bytes, at: 0 };
    let end = cursor.open(bytes.len())?;
    if end != bytes.len() {
        return Err(invalid(format!("document declares {end} bytes and has {}", bytes.len())));
    }
    check_depth(1, depth_max)?;
    let mut ends = Vec::new();
    let mut end = end;
    loop {
        match cursor.u8(end)? {
            0 => {
                if cursor.at != end {
                    return Err(cursor.error("document ends before its declared length"));
                }
                match ends.pop() {
                    Some(outer) => end = outer,
                    None => return Ok(()),
                }
            }
            kind => {
                cursor.cstring(end, "field name")?;
                if let Some(inner) = cursor.value(kind, end)? {
                    ends.push(end);
                    check_depth(ends.len() + 1, depth_max)?;
                    end = inner;
                }
            }
        }
    }
}

fn check_depth(depth: usize, depth_max: usize) -> Result<(), Fault> {
    if depth > depth_max {
        return Err(Fault::new(
            Code::Overflow,
            format!("BSONObj exceeds maximum nested object depth: {depth_max}"),
        ));
    }
    Ok(())
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn error(&self, what: &str) -> Fault {
        invalid(format!("invalid BSON: {what} at byte {}", self.at))
    }

    /// The next `count` bytes, which must end before `end`.
    fn take(&mut self, count: usize, end: usize) -> Result<&'a [u8], Fault> {
        let to = self.at.checked_add(count).filter(|to| *to <= end);
        let taken = to.and_then(|to| self.bytes.get(self.at..to));
        let taken = taken.ok_or_else(|| self.error("value runs past the end of its document"))?;
        self.at += count;
        Ok(taken)
    }

    fn u8(&mut self, end: usize) -> Result<u8, Fault> {
        self.take(1, end).map(|taken| taken.first().copied().unwrap_or_default())
    }

    fn length(&mut self, end: usize) -> Result<usize, Fault> {
        let taken = self.take(4, end)?;
        let length = taken.first_chunk().map_or(-1, |chunk| i32::from_le_bytes(*chunk));
        usize::try_from(length).map_err(|_| self.error("negative length"))
    }

    /// Reads the length of a document or array; answers where it ends.
    fn open(&mut self, end: usize) -> Result<usize, Fault> {
        let start = self.at;
        let length = self.length(end)?;
        let inner = start.checked_add(length).filter(|inner| length >= 5 && *inner <= end);
        let inner = inner.ok_or_else(|| self.error("bad length of a document"))?;
        if self.bytes.get(inner - 1) != Some(&0) {
            return Err(self.error("document without final NUL"));
        }
        Ok(inner)
    }

    fn cstring(&mut self, end: usize, what: &str) -> Result<(), Fault> {
        let rest = self.bytes.get(self.at..end).unwrap_or(&[]);
        let len = rest.iter().position(|&byte| byte == 0);
        let len = len.ok_or_else(|| self.error(&format!("{what} without NUL")))?;
        let text = rest.get(..len).unwrap_or(&[]);
        if !text.is_ascii() && std::str::from_utf8(text).is_err() {
            return Err(self.error(&format!("{what} that is not UTF-8")));
        }
        self.at += len + 1;
        Ok(())
    }

    fn string(&mut self, end: usize) -> Result<(), Fault> {
        let length = self.length(end)?;
        match self.take(length, end)?.last() {
            Some(0) => Ok(()),
            _ => Err(self.error("string without final NUL")),
        }
    }

    /// Steps over a value. For one that holds elements, steps to the first of them and answers where it ends.
    fn value(&mut self, kind: u8, end: usize) -> Result<Option<usize>, Fault> {
        match kind {
            0x06 | 0x0A | 0x7F | 0xFF => {}
            0x08 => {
                if self.u8(end)? > 1 {
                    return Err(self.error("boolean other than 0 and 1"));
                }
            }
            0x10 => drop(self.take(4, end)?),
            0x01 | 0x09 | 0x11 | 0x12 => drop(self.take(8, end)?),
            0x07 => drop(self.take(12, end)?),
            0x13 => drop(self.take(16, end)?),
            0x02 | 0x0D | 0x0E => self.string(end)?,
            0x03 | 0x04 => return self.open(end).map(Some),
            0x05 => self.binary(end)?,
            0x0B => {
                self.cstring(end, "regular expression")?;
                self.cstring(end, "regular expression options")?;
            }
            0x0C => {
                self.string(end)?;
                self.take(12, end)?;
            }
            0x0F => return self.code_with_scope(end).map(Some),
            _ => return Err(self.error(&format!("unknown type 0x{kind:02x}"))),
        }
        Ok(None)
    }

    /// The content of every subtype but the old one is opaque.
    fn binary(&mut self, end: usize) -> Result<(), Fault> {
        let length = self.length(end)?;
        let subtype = self.u8(end)?;
        let content = self.take(length, end)?;
        if subtype == 2 {
            let inner =
                content.first_chunk().and_then(|chunk| usize::try_from(i32::from_le_bytes(*chunk)).ok());
            if inner.is_none_or(|inner| inner + 4 != length) {
                return Err(self.error("old binary with a wrong inner length"));
            }
        }
        Ok(())
    }

    /// Its own length must be that of the code and the scope together.
    fn code_with_scope(&mut self, end: usize) -> Result<usize, Fault> {
        let start = self.at;
        let length = self.length(end)?;
        let own_end = start.checked_add(length).filter(|own_end| *own_end <= end);
        let own_end = own_end.ok_or_else(|| self.error("bad length of code with scope"))?;
        self.string(own_end)?;
        let scope_end = self.open(own_end)?;
        if scope_end != own_end {
            return Err(self.error("code with scope of disagreeing lengths"));
        }
        Ok(scope_end)
    }
}

#[cfg(test)]
mod tests;
