//! The compressors of OP_COMPRESSED. Output of a decoder is a `Vec` that the decoder grows, up to a cap: no byte of a reply or
//! a request ever comes from memory that was not written.

use crate::Error;
use std::borrow::Cow;
use std::io::Read;

/// Output is grown in steps of this size, so that a lie about the size costs nothing.
const GROWTH_BYTES: usize = 64 * 1024;
/// A snappy element of 3 bytes yields at most 64: no honest block grows by more than this.
const SNAPPY_RATIO_MAX: usize = 22;
/// Windows above the message limit serve no message.
const ZSTD_WINDOW_LOG_MAX: u32 = 26;

/// A compressor that client and server may agree on in hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compressor {
    Noop,
    Snappy,
    Zlib,
    Zstd,
}

impl Compressor {
    /// Those that a server offers, in its order of preference.
    pub const OFFERED: [Compressor; 3] = [Compressor::Snappy, Compressor::Zstd, Compressor::Zlib];

    /// The id on the wire.
    pub fn id(self) -> u8 {
        match self {
            Compressor::Noop => 0,
            Compressor::Snappy => 1,
            Compressor::Zlib => 2,
            Compressor::Zstd => 3,
        }
    }

    /// The compressor of an id.
    pub fn from_id(id: u8) -> Option<Compressor> {
        [Compressor::Noop, Compressor::Snappy, Compressor::Zlib, Compressor::Zstd]
            .get(usize::from(id))
            .copied()
    }

    /// The name in `hello.compression`.
    pub fn name(self) -> &'static str {
        match self {
            Compressor::Noop => "noop",
            Compressor::Snappy => "snappy",
            Compressor::Zlib => "zlib",
            Compressor::Zstd => "zstd",
        }
    }

    /// The compressor of a name.
    pub fn from_name(name: &str) -> Option<Compressor> {
        [Compressor::Noop, Compressor::Snappy, Compressor::Zlib, Compressor::Zstd]
            .into_iter()
            .find(|compressor| compressor.name() == name)
    }

    /// Compresses `input`.
    ///
    /// # Errors
    /// [`Error::Compression`] if the library fails.
    pub fn compress(self, input: &[u8]) -> Result<Vec<u8>, Error> {
        match self {
            Compressor::Noop => Ok(input.to_vec()),
            Compressor::Snappy => snap::raw::Encoder::new().compress_vec(input).map_err(damaged),
            Compressor::Zlib => {
                let mut encoder = flate2::read::ZlibEncoder::new(input, flate2::Compression::new(6));
                let mut out = Vec::with_capacity(input.len() / 2 + 64);
                encoder.read_to_end(&mut out).map_err(damaged)?;
                Ok(out)
            }
            Compressor::Zstd => zstd::bulk::compress(input, zstd::DEFAULT_COMPRESSION_LEVEL).map_err(damaged),
        }
    }

    /// Decompresses `input` to exactly `size` bytes. The caller has checked `size` against its limit.
    ///
    /// # Errors
    /// [`Error::Compression`] if the data are damaged, cut short, followed by anything, or yield another size.
    pub fn decompress(self, input: &[u8], size: usize) -> Result<Vec<u8>, Error> {
        let out = match self {
            Compressor::Noop => {
                if input.len() != size {
                    return Err(wrong_size(size, input.len()));
                }
                input.to_vec()
            }
            Compressor::Snappy => {
                let announced = snap::raw::decompress_len(input).map_err(damaged)?;
                if announced != size || size > input.len().saturating_mul(SNAPPY_RATIO_MAX) {
                    return Err(wrong_size(size, announced));
                }
                snap::raw::Decoder::new().decompress_vec(input).map_err(damaged)?
            }
            Compressor::Zlib => inflate(input, size)?,
            Compressor::Zstd => unzstd(input, size)?,
        };
        if out.len() != size {
            return Err(wrong_size(size, out.len()));
        }
        Ok(out)
    }
}

fn inflate(input: &[u8], size: usize) -> Result<Vec<u8>, Error> {
    let mut decoder = flate2::bufread::ZlibDecoder::new(input);
    let out = read_capped(&mut decoder, size)?;
    if !decoder.into_inner().is_empty() {
        return Err(Error::Compression(Cow::Borrowed("data after the end")));
    }
    Ok(out)
}

fn unzstd(input: &[u8], size: usize) -> Result<Vec<u8>, Error> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(damaged)?.single_frame();
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(damaged)?;
    let out = read_capped(&mut decoder, size)?;
    if !decoder.finish().is_empty() {
        return Err(Error::Compression(Cow::Borrowed("data after the end")));
    }
    Ok(out)
}

/// Reads to the end, but never more than one byte past `size`: that byte proves that there is too much.
fn read_capped(decoder: &mut impl Read, size: usize) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(size.min(GROWTH_BYTES));
    decoder.by_ref().take(size as u64 + 1).read_to_end(&mut out).map_err(damaged)?;
    if out.len() != size {
        return Err(wrong_size(size, out.len()));
    }
    Ok(out)
}

fn damaged(error: impl std::fmt::Display) -> Error {
    Error::Compression(Cow::Owned(error.to_string()))
}

fn wrong_size(announced: usize, found: usize) -> Error {
    Error::Compression(Cow::Owned(format!("{announced} bytes were announced, there are {found} or more")))
}
