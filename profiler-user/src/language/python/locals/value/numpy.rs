//! NumPy's scalars and arrays, by the layout that its C API promises (`numpy/arrayscalars.h`, `numpy/ndarraytypes.h`).

use profiler_common::memory::{Memory, RemoteAddr};

use super::number::float;
use super::{Value, Writer};
use crate::language::python::locals::class;
use crate::language::python::objects::{pointer, word};

/// `NPY_MAXDIMS`, of NumPy 2.
const MAX_DIMENSIONS: usize = 64;
/// `PyArrayObject_fields`: after the header come `data`, `nd`, `dimensions`, `strides`, `base`, `descr`.
const DIMENSION_COUNT: u16 = 8;
const DIMENSIONS: u16 = 16;
const DESCRIPTION: u16 = 40;

impl<M: Memory> Writer<'_, '_, M> {
    /// `None` for what is shown as anything else: as what it derives from, or by its address.
    pub(super) fn numpy(&self, value: Value<'_>) -> Option<String> {
        let Value { address, class } = value;
        let name = class.name.strip_prefix("numpy.")?;
        if name == "ndarray" {
            return self.array(value);
        }
        // Behind the header, whatever it derives from.
        let bits = || word(self.objects.memory(), self.objects.field(address, 0));
        let byte = || self.bytes::<1>(address);
        Some(match name {
            // py-spy's word for it.
            "bool" | "bool_" => (byte()? != [0]).to_string(),
            "int8" => i8::from_le_bytes(byte()?).to_string(),
            "uint8" => u8::from_le_bytes(byte()?).to_string(),
            "int16" => i16::from_le_bytes(self.bytes(address)?).to_string(),
            "uint16" => u16::from_le_bytes(self.bytes(address)?).to_string(),
            "int32" => i32::from_le_bytes(self.bytes(address)?).to_string(),
            "uint32" => u32::from_le_bytes(self.bytes(address)?).to_string(),
            "int64" => bits()?.cast_signed().to_string(),
            "uint64" => bits()?.to_string(),
            "float32" => single(f32::from_le_bytes(self.bytes(address)?)),
            "float64" => float(f64::from_bits(bits()?)),
            _ => return None,
        })
    }

    fn bytes<const N: usize>(&self, address: RemoteAddr) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        let start = self.objects.field(address, 0);
        self.objects
            .memory()
            .read_bytes(start, &mut bytes, N as u32)
            .ok()?;
        Some(bytes)
    }

    /// `<numpy.ndarray of float64, shape (3, 4), at 0x7f...>`.
    fn array(&self, value: Value<'_>) -> Option<String> {
        let memory = self.objects.memory();
        let field = |at: u16| self.objects.field(value.address, at);
        let count = word(memory, field(DIMENSION_COUNT))? & 0xffff_ffff;
        let count = usize::try_from(count)
            .ok()
            .filter(|count| *count <= MAX_DIMENSIONS)?;
        let mut sizes = [0; MAX_DIMENSIONS];
        let start = RemoteAddr(word(memory, field(DIMENSIONS))?);
        memory
            .read_words_prefix(start, &mut sizes, 8 * count as u32)
            .ok()?;
        let sizes: Vec<String> = sizes.iter().take(count).map(ToString::to_string).collect();
        let shape = match sizes.as_slice() {
            [only] => format!("({only},)"),
            all => format!("({})", all.join(", ")),
        };
        let description = pointer(memory, field(DESCRIPTION))?;
        // `PyArray_Descr.typeobj`: the class of its items.
        let of_items = pointer(memory, self.objects.field(description, 0))?;
        let name = class::name(self.objects, of_items)?;
        let name = name.strip_prefix("numpy.").unwrap_or(&name);
        Some(format!(
            "<numpy.ndarray of {name}, shape {shape}, at {:#x}>",
            value.address.0
        ))
    }
}

/// The shortest text for a number of 4 bytes.
fn single(number: f32) -> String {
    // The shortest text of the narrow number, read as a wide one, is what Python writes.
    number
        .to_string()
        .parse()
        .map_or_else(|_| number.to_string(), float)
}
