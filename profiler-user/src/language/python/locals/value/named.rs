//! What has a name of its own: functions, methods, modules, classes, generators; ranges and slices.

use profiler_common::memory::{Memory, RemoteAddr};

use super::{Value, Writer};
use crate::language::python::layout::locals::LocalsFields;
use crate::language::python::layout::objects::TYPE_DICT;
use crate::language::python::locals::class;
use crate::language::python::objects::pointer;

/// Names of a module or a class that are looked at.
const MAX_NAMES: u64 = 512;
/// Bytes of the name of a function written in C.
const NAME_BYTES: usize = 128;

impl<M: Memory> Writer<'_, '_, M> {
    /// `None` for what has no name.
    pub(super) fn named(&self, value: Value<'_>, room: usize) -> Option<String> {
        let Value { address, class } = value;
        let fields = &self.objects.fields().locals;
        let at = |name: &str| format!("{name} at {:#x}", address.0);
        let field = |index: u16| pointer(self.objects.memory(), self.objects.field(address, 8 * index));
        match class.name.as_str() {
            "function" => {
                let name = self.text_at(address, fields.function_name)?;
                Some(format!("<{}>", at(&format!("function {name}"))))
            }
            "method" | "instancemethod" => {
                let name = self.text_at(field(0)?, fields.function_name)?;
                Some(format!("<{}>", at(&format!("bound method {name}"))))
            }
            "builtin_function_or_method" => {
                // `PyMethodDef.ml_name` of `m_ml`.
                let text = pointer(self.objects.memory(), field(0)?)?;
                let mut bytes = [0; NAME_BYTES];
                let length = self.objects.memory().read_c_string(text, &mut bytes).ok()?;
                let name = String::from_utf8_lossy(bytes.get(..length as usize)?).into_owned();
                Some(format!("<built-in function {name}>"))
            }
            "generator" | "coroutine" | "async_generator"
                if fields.generator_name != LocalsFields::ABSENT =>
            {
                let name = self.text_at(address, fields.generator_name)?;
                Some(format!("<{}>", at(&format!("{} object {name}", class.name))))
            }
            "module" => {
                let names = self.objects.of_module(address)?;
                let name = self.objects.text(self.entry(names, "__name__")?)?;
                Some(format!("<module \"{name}\">"))
            }
            "range" => self.arguments("range", &[field(0)?, field(1)?, field(2)?], room),
            "slice" => self.arguments("slice", &[field(0)?, field(1)?, field(2)?], room),
            _ => None,
        }
        .map(|text| crate::escape::printable(&text))
    }

    /// `<class "package.Name">`.
    pub(super) fn written_class(&self, address: RemoteAddr) -> Option<String> {
        let name = class::name(self.objects, address)?;
        let dictionary = pointer(self.objects.memory(), self.objects.field(address, TYPE_DICT));
        let module = dictionary.and_then(|names| self.objects.text(self.entry(names, "__module__")?));
        let module = module.filter(|_| !name.contains('.'));
        let text = match module {
            Some(module) => format!("<class \"{module}.{name}\">"),
            None => format!("<class \"{name}\">"),
        };
        Some(crate::escape::printable(&text))
    }

    fn entry(&self, dictionary: RemoteAddr, name: &str) -> Option<RemoteAddr> {
        let entries = self.objects.dictionary(dictionary, MAX_NAMES)?;
        let entry = entries
            .iter()
            .find(|entry| self.objects.is_text(entry.key, name))?;
        Some(entry.value)
    }

    fn text_at(&self, object: RemoteAddr, field: u16) -> Option<String> {
        let text = pointer(self.objects.memory(), self.objects.field(object, field))?;
        self.objects.text(text)
    }

    fn arguments(&self, name: &str, values: &[RemoteAddr], room: usize) -> Option<String> {
        let texts = values.iter().map(|value| self.inner(*value, room / 3));
        Some(format!("{name}({})", texts.collect::<Vec<_>>().join(", ")))
    }
}
