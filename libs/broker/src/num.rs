//! Conversions between the integer widths of the wire, of files and of memory, saturating where a value cannot fit.

/// A file or wire size as a memory size.
pub(crate) fn usize_of(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A non-negative wire integer as a memory size; negative becomes zero.
pub(crate) fn usize_of_i32(value: i32) -> usize {
    usize::try_from(value).unwrap_or(0)
}

/// A count as the 32 bits of the wire.
pub(crate) fn i32_of(value: usize) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// A size as the signed 64 bits of the wire.
pub(crate) fn i64_of(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A signed 64-bit quantity that is never negative by construction, as unsigned.
pub(crate) fn u64_of(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A size that a limit keeps under 4 GiB, as 32 bits.
pub(crate) fn u32_of(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
