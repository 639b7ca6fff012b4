//! A small ELF file, of which anything can be changed before it is written.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;

/// Where the code is, in the file.
pub const CODE: u64 = 0x1000;
/// Where the file is in memory.
const BASE: u64 = 0x40_0000;
const PAGE: usize = 0x1000;
const HEADER_BYTES: u64 = 64;
const PROGRAM_HEADER_BYTES: u64 = 56;
/// Bytes of code that a function of it has.
pub(super) const CODE_BYTES: u64 = 64;
/// Address of the code.
pub(super) const CODE_ADDRESS: u64 = BASE + CODE;

/// Counts down from its argument: loop: dec rdi; jne loop; ret
const COUNTS_DOWN: &[u8] = &[0x48, 0xff, 0xcf, 0x75, 0xfb, 0xc3];
/// As a program: counts down from two million and sleeps for a millisecond, without end.
const BUSY: &[u8] = &[
    0xb9, 0x80, 0x84, 0x1e, 0x00, 0xff, 0xc9, 0x75, 0xfc, 0x68, 0x40, 0x42, 0x0f, 0x00, 0x6a, 0x00, 0x48,
    0x89, 0xe7, 0x31, 0xf6, 0xb8, 0x23, 0x00, 0x00, 0x00, 0x0f, 0x05, 0x58, 0x58, 0xeb, 0xe0,
];
const ENTRY: usize = 16;

/// A section. Its offset and size are those of its bytes unless they say otherwise.
#[derive(Clone, Debug, Default)]
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) kind: u32,
    pub(super) flags: u64,
    pub(super) link: u32,
    pub(super) info: u32,
    pub(super) entry_bytes: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) offset: Option<u64>,
    pub(super) size: Option<u64>,
}

impl Section {
    pub(super) fn new(name: &'static str, kind: u32, bytes: Vec<u8>) -> Self {
        Self {
            name,
            kind,
            bytes,
            ..Self::default()
        }
    }
}

pub(super) const PROGBITS: u32 = 1;
pub(super) const SYMTAB: u32 = 2;
pub(super) const STRTAB: u32 = 3;
pub(super) const NOTE: u32 = 7;

/// The file.
#[derive(Clone, Debug, Default)]
pub struct Image {
    pub(super) sections: Vec<Section>,
    /// More program headers than the one that the kernel needs: kind, offset, size.
    pub(super) segments: Vec<(u32, u64, u64)>,
    /// Last changes, at these offsets.
    pub(super) patches: Vec<(usize, Vec<u8>)>,
    /// Last changes of section headers: index, offset in the header, value.
    pub(super) header_patches: Vec<(usize, usize, u64)>,
}

impl Image {
    /// With symbols that an interpreter has, so that it is looked at as one.
    #[must_use]
    pub fn like_python() -> Self {
        let mut names = vec![0];
        let mut symbols = vec![0; 24];
        for name in [
            "_PyRuntime",
            "_PyEval_EvalFrameDefault",
            "Py_Version",
            "counts_down",
        ] {
            symbols.extend(symbol(names.len() as u32, CODE_ADDRESS, CODE_BYTES));
            names.extend(name.as_bytes());
            names.push(0);
        }
        let mut image = Self::default();
        image.push_symbols(symbols, names);
        image
    }

    /// Adds `.symtab` and `.strtab`.
    pub(super) fn push_symbols(&mut self, symbols: Vec<u8>, names: Vec<u8>) {
        // The null section comes first.
        let strings = self.sections.len() as u32 + 2;
        let mut table = Section::new(".symtab", SYMTAB, symbols);
        (table.link, table.info, table.entry_bytes) = (strings, 1, 24);
        self.sections.push(table);
        self.sections.push(Section::new(".strtab", STRTAB, names));
    }

    /// Adds a section.
    pub(super) fn push(&mut self, section: Section) -> &mut Self {
        self.sections.push(section);
        self
    }

    /// Writes it as `bad.elf`, for everybody to execute.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let path = folder.join("bad.elf");
        fs::write(&path, self.bytes()).with_context(|| format!("writing {}", path.display()))?;
        // It belongs to the attack, which may want to change it.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
        Ok(())
    }

    fn bytes(&self) -> Vec<u8> {
        let mut file = vec![0; 2 * PAGE];
        let code = CODE as usize;
        file[code..code + COUNTS_DOWN.len()].copy_from_slice(COUNTS_DOWN);
        file[code + ENTRY..code + ENTRY + BUSY.len()].copy_from_slice(BUSY);
        let mut names = b"\0".to_vec();
        let mut headers = vec![0; 64];
        let all = self.sections.iter().cloned();
        for section in all.chain([Section::new(".shstrtab", STRTAB, Vec::new())]) {
            let name = names.len() as u32;
            names.extend(section.name.as_bytes());
            names.push(0);
            let is_names = section.name == ".shstrtab";
            let bytes = if is_names { &names } else { &section.bytes };
            file.resize(file.len().next_multiple_of(16), 0);
            let offset = section.offset.unwrap_or(file.len() as u64);
            let size = section.size.unwrap_or(bytes.len() as u64);
            file.extend(bytes);
            headers.extend(name.to_le_bytes());
            headers.extend(section.kind.to_le_bytes());
            for word in [section.flags, BASE + offset % (1 << 40), offset, size] {
                headers.extend(word.to_le_bytes());
            }
            headers.extend(section.link.to_le_bytes());
            headers.extend(section.info.to_le_bytes());
            headers.extend(1u64.to_le_bytes());
            headers.extend(section.entry_bytes.to_le_bytes());
        }
        for (index, at, value) in &self.header_patches {
            let at = index * 64 + at;
            headers[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        file.resize(file.len().next_multiple_of(16), 0);
        let headers_at = file.len() as u64;
        file.extend(&headers);
        let count = self.sections.len() as u16 + 2;
        let header = self.header(headers_at, count);
        file[..header.len()].copy_from_slice(&header);
        for (at, bytes) in &self.patches {
            file[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        file
    }

    /// The file's header and the program headers.
    fn header(&self, section_headers: u64, count: u16) -> Vec<u8> {
        let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        // An executable for x86-64.
        header.extend([2, 0, 62, 0, 1, 0, 0, 0]);
        for word in [CODE_ADDRESS + ENTRY as u64, HEADER_BYTES, section_headers] {
            header.extend(word.to_le_bytes());
        }
        header.extend(0u32.to_le_bytes());
        let programs = self.segments.len() as u16 + 1;
        for half in [
            HEADER_BYTES as u16,
            PROGRAM_HEADER_BYTES as u16,
            programs,
            64,
            count,
            count - 1,
        ] {
            header.extend(half.to_le_bytes());
        }
        // What is in memory: the headers and the code, to read and execute.
        header.extend(program_header(1, 5, 0, 2 * PAGE as u64));
        for (kind, offset, size) in &self.segments {
            header.extend(program_header(*kind, 4, *offset, *size));
        }
        header
    }
}

fn program_header(kind: u32, flags: u32, offset: u64, size: u64) -> Vec<u8> {
    let mut header = kind.to_le_bytes().to_vec();
    header.extend(flags.to_le_bytes());
    let address = BASE.wrapping_add(offset);
    for word in [offset, address, address, size, size, PAGE as u64] {
        header.extend(word.to_le_bytes());
    }
    header
}

/// An entry of a symbol table: a function of the second section.
pub(super) fn symbol(name: u32, address: u64, bytes: u64) -> Vec<u8> {
    let mut symbol = name.to_le_bytes().to_vec();
    symbol.extend([0x12, 0, 1, 0]);
    symbol.extend(address.to_le_bytes());
    symbol.extend(bytes.to_le_bytes());
    symbol
}

/// An unsigned number in LEB128.
pub(super) fn uleb(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = value as u8 & 0x7f;
        value >>= 7;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::{CODE_ADDRESS, Image, uleb};

    #[test]
    fn an_image_without_changes_is_a_file_with_its_symbols() {
        let folder = tempfile::tempdir().expect("a folder");
        Image::like_python().write(folder.path()).expect("it is written");
        let symbols = std::process::Command::new("readelf")
            .args(["-s", "-W"])
            .arg(folder.path().join("bad.elf"))
            .output()
            .expect("readelf");
        let text = String::from_utf8_lossy(&symbols.stdout).into_owned();
        assert!(text.contains("_PyEval_EvalFrameDefault"), "{text}");
        assert!(text.contains(&format!("{CODE_ADDRESS:016x}")), "{text}");
    }

    #[test]
    fn numbers_have_seven_bits_a_byte() {
        assert_eq!(uleb(0), [0]);
        assert_eq!(uleb(624_485), [0xe5, 0x8e, 0x26]);
    }
}
