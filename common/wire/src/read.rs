//! Reading little-endian numbers and C strings from a slice without indexing: a short slice is `None`, never a panic.

/// A position in a message body. Nothing is read past the end.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    pub(crate) fn i32(&mut self) -> Option<i32> {
        let (taken, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        Some(i32::from_le_bytes(*taken))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.i32().map(i32::cast_unsigned)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        let (taken, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        Some(i64::from_le_bytes(*taken))
    }

    /// The bytes up to the next NUL, which is taken too.
    pub(crate) fn c_string(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|byte| *byte == 0)?;
        let text = self.take(end)?;
        self.u8()?;
        Some(text)
    }

    /// One whole document by its length prefix; `None` if the prefix does not fit what is left.
    pub(crate) fn document(&mut self) -> Option<&'a [u8]> {
        let length = i32::from_le_bytes(*self.rest.first_chunk::<4>()?);
        match usize::try_from(length) {
            Ok(length) if length >= 5 => self.take(length),
            _ => None,
        }
    }
}
