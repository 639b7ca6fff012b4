//! From an address to the rule that unwinds the function it is in.

use crate::contract::reasons::NativeStatus;
use crate::contract::unwind::{
    BLOCK_BYTES, BLOCK_FRAME_POINTERS, BLOCK_HOPELESS, BLOCK_LOADED, BLOCK_SHIFT, MAX_BLOCK_ROWS,
    MAX_MAPPINGS, Mapping, mapping_kind,
};
use crate::walker::native::{Architecture, NativeScratch, UnwindTables};

/// Halvings until one is left.
const MAPPING_STEPS: u32 = MAX_MAPPINGS.ilog2();
const ROW_STEPS: u32 = MAX_BLOCK_ROWS.ilog2();

/// Leaves the rule for `scratch.address` in `scratch.rule`.
#[inline(always)]
pub(super) fn find_rule<A: Architecture, T: UnwindTables>(
    tables: &T,
    scratch: &mut NativeScratch,
) -> Result<(), NativeStatus> {
    let mapping = find_mapping(tables, scratch)?;
    scratch.rule = match mapping.kind {
        mapping_kind::TABLE => return find_row::<A, T>(tables, mapping, scratch),
        mapping_kind::FRAME_POINTER => A::FRAME_POINTER.0,
        mapping_kind::ONE_RULE => mapping.bias,
        _ => return Err(NativeStatus::Opaque),
    };
    Ok(())
}

/// The mapping that `scratch.address` lies in: mostly that of the frame before.
#[inline(always)]
fn find_mapping<'a, T: UnwindTables>(
    tables: &'a T,
    scratch: &mut NativeScratch,
) -> Result<&'a Mapping, NativeStatus> {
    let mut known = tables.mapping(scratch.mapping).ok_or(NativeStatus::NoMapping)?;
    if !holds(known, scratch) {
        scratch.low = u64::from(scratch.first_mapping);
        scratch.size = u64::from(scratch.mapping_count);
        for _ in 0..MAPPING_STEPS {
            if scratch.size <= 1 {
                break;
            }
            let half = scratch.size / 2;
            let middle = scratch.low.wrapping_add(half);
            let mapping = tables.mapping(middle as u32).ok_or(NativeStatus::NoMapping)?;
            if mapping.start <= scratch.address {
                scratch.low = middle;
            }
            scratch.size = scratch.size.wrapping_sub(half);
        }
        scratch.mapping = scratch.low as u32;
        known = tables.mapping(scratch.mapping).ok_or(NativeStatus::NoMapping)?;
        if !holds(known, scratch) {
            return Err(NativeStatus::NoMapping);
        }
    }
    Ok(known)
}

#[inline(always)]
fn holds(mapping: &Mapping, scratch: &NativeScratch) -> bool {
    mapping.start <= scratch.address && scratch.address < mapping.end && mapping.space == scratch.space
}

/// The row of a table.
#[inline(always)]
fn find_row<A: Architecture, T: UnwindTables>(
    tables: &T,
    mapping: &Mapping,
    scratch: &mut NativeScratch,
) -> Result<(), NativeStatus> {
    let address = scratch.address.wrapping_sub(mapping.bias);
    let number = (address >> BLOCK_SHIFT).wrapping_sub(u64::from(mapping.text_block));
    if number >= u64::from(mapping.block_count) {
        return Err(NativeStatus::NoRule);
    }
    let index = mapping.first_block.wrapping_add(number as u32);
    let block = tables.block(index).ok_or(NativeStatus::NoTable)?;
    if block.flags & BLOCK_FRAME_POINTERS != 0 && scratch.is_return != 0 {
        scratch.rule = A::FRAME_POINTER.0;
        return Ok(());
    }
    if block.flags & BLOCK_LOADED == 0 {
        return Err(if block.flags & BLOCK_HOPELESS != 0 {
            NativeStatus::Opaque
        } else {
            NativeStatus::NoTable
        });
    }
    let offset = address & (BLOCK_BYTES - 1);
    scratch.low = u64::from(block.first_row);
    scratch.size = u64::from(block.row_count);
    for _ in 0..ROW_STEPS {
        if scratch.size <= 1 {
            break;
        }
        let half = scratch.size / 2;
        let middle = scratch.low.wrapping_add(half);
        let row = tables.row(middle as u32).ok_or(NativeStatus::NoTable)?;
        if u64::from(row.start()) <= offset {
            scratch.low = middle;
        }
        scratch.size = scratch.size.wrapping_sub(half);
    }
    let row = tables.row(scratch.low as u32).ok_or(NativeStatus::NoTable)?;
    scratch.rule = row.0;
    Ok(())
}
