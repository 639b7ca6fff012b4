//! Dictionaries, attributes of instances, and numbers: what only user space reads.

use pyebpf::language::python::layout::objects::{
    DICT_KEYS, DICT_MASK, DICT_TABLE, DICT_VALUES, DIGIT_BITS, DIGITS, DictionaryShape, FLAG_DICT,
    FLAG_INLINE_VALUES, FLAG_INT, FLAG_LONG, FLAG_MANAGED_DICT, FLAG_STRING, FLAG_UNICODE, InstanceShape,
    IntegerShape, MODULE_DICT, ObjectFields, TAG_BITS, TYPE_BASIC_SIZE, TYPE_DICT_OFFSET, TYPE_FLAGS, keys,
};

use super::{Fact, fact};

pub(super) fn facts(fields: &ObjectFields) -> Vec<Fact> {
    let ObjectFields {
        header_bytes,
        modules,
        next,
        cached_keys,
        dictionary,
        instance,
        integer,
        // Names, not numbers.
        thread: _,
        // In a file of their own.
        locals: _,
    } = *fields;
    let in_object = |field: u16| header_bytes + field;
    let is_27 = dictionary == DictionaryShape::OpenAddressed;
    let has_kinds = matches!(
        dictionary,
        DictionaryShape::Kinds | DictionaryShape::KindsWithHeader
    );
    let has_managed = instance != InstanceShape::Dictionary;
    let mut facts = vec![
        fact("objects.header_bytes", header_bytes, &["sizeof(PyObject)"]),
        fact(
            "objects.modules",
            modules,
            &[
                "offsetof(PyInterpreterState, imports.modules)",
                "offsetof(PyInterpreterState, modules)",
            ],
        ),
        fact("objects.next", next, &["offsetof(PyInterpreterState, next)"]),
        fact(
            "objects.cached_keys",
            in_object(cached_keys),
            &["offsetof(PyHeapTypeObject, ht_cached_keys)"],
        )
        .when(has_managed),
        fact(
            "objects: MODULE_DICT",
            in_object(MODULE_DICT),
            &["offsetof(PyModuleObject, md_dict)"],
        )
        // Earlier ones are in no header.
        .when(has_kinds),
        fact(
            "objects: TYPE_BASIC_SIZE",
            in_object(TYPE_BASIC_SIZE),
            &["offsetof(PyTypeObject, tp_basicsize)"],
        ),
        fact(
            "objects: TYPE_FLAGS",
            in_object(TYPE_FLAGS),
            &["offsetof(PyTypeObject, tp_flags)"],
        ),
        fact(
            "objects: TYPE_DICT_OFFSET",
            in_object(TYPE_DICT_OFFSET),
            &["offsetof(PyTypeObject, tp_dictoffset)"],
        ),
        fact(
            "objects: DICT_MASK",
            in_object(DICT_MASK),
            &["offsetof(PyDictObject, ma_mask)"],
        )
        .when(is_27),
        fact(
            "objects: DICT_TABLE",
            in_object(DICT_TABLE),
            &["offsetof(PyDictObject, ma_table)"],
        )
        .when(is_27),
        fact(
            "objects: DICT_KEYS",
            in_object(DICT_KEYS),
            &["offsetof(PyDictObject, ma_keys)"],
        )
        .when(!is_27),
        fact(
            "objects: DICT_VALUES",
            in_object(DICT_VALUES),
            &["offsetof(PyDictObject, ma_values)"],
        )
        .when(!is_27),
        // 3.12 says it in a function.
        fact(
            "objects.instance: distance",
            match instance {
                InstanceShape::Inline(distance) => distance,
                _ => 24,
            },
            &["-(MANAGED_DICT_OFFSET)"],
        )
        .when(has_managed && instance != InstanceShape::TaggedPointer),
    ];
    facts.extend(flags(is_27, has_managed, instance));
    facts.extend(numbers(fields, is_27, integer));
    facts.extend(kinds(dictionary).map(|fact| fact.when(has_kinds && fact.is_used)));
    facts
}

fn flags(is_27: bool, has_managed: bool, instance: InstanceShape) -> [Fact; 7] {
    [
        fact("objects: FLAG_DICT", FLAG_DICT, &["Py_TPFLAGS_DICT_SUBCLASS"]),
        fact(
            "objects: FLAG_UNICODE",
            FLAG_UNICODE,
            &["Py_TPFLAGS_UNICODE_SUBCLASS"],
        ),
        fact("objects: FLAG_LONG", FLAG_LONG, &["Py_TPFLAGS_LONG_SUBCLASS"]),
        fact("objects: FLAG_INT", FLAG_INT, &["Py_TPFLAGS_INT_SUBCLASS"]).when(is_27),
        fact(
            "objects: FLAG_STRING",
            FLAG_STRING,
            &["Py_TPFLAGS_STRING_SUBCLASS"],
        )
        .when(is_27),
        fact(
            "objects: FLAG_MANAGED_DICT",
            FLAG_MANAGED_DICT,
            &["Py_TPFLAGS_MANAGED_DICT"],
        )
        .when(has_managed),
        fact(
            "objects: FLAG_INLINE_VALUES",
            FLAG_INLINE_VALUES,
            &["Py_TPFLAGS_INLINE_VALUES"],
        )
        .when(matches!(instance, InstanceShape::Inline(_))),
    ]
}

fn numbers(fields: &ObjectFields, is_27: bool, integer: IntegerShape) -> [Fact; 5] {
    [
        fact(
            "objects: DIGITS",
            fields.header_bytes + DIGITS,
            &[
                "offsetof(PyLongObject, long_value.ob_digit)",
                "offsetof(PyLongObject, ob_digit)",
            ],
        ),
        fact("objects: DIGIT_BITS", DIGIT_BITS, &["PyLong_SHIFT"]),
        fact(
            "objects.integer: lv_tag",
            fields.header_bytes,
            &["offsetof(PyLongObject, long_value.lv_tag)"],
        )
        .when(integer == IntegerShape::Tag),
        fact("objects: TAG_BITS", TAG_BITS, &["NON_SIZE_BITS"]).when(integer == IntegerShape::Tag),
        fact(
            "objects.integer: ob_ival",
            fields.header_bytes,
            &["offsetof(PyIntObject, ob_ival)"],
        )
        .when(is_27),
    ]
}

fn kinds(shape: DictionaryShape) -> [Fact; 9] {
    [
        fact(
            "objects: keys::LOG2_INDEX_BYTES",
            keys::LOG2_INDEX_BYTES,
            &["offsetof(struct _dictkeysobject, dk_log2_index_bytes)"],
        ),
        fact(
            "objects: keys::KIND",
            keys::KIND,
            &["offsetof(struct _dictkeysobject, dk_kind)"],
        ),
        fact(
            "objects: keys::ENTRIES",
            keys::ENTRIES,
            &["offsetof(struct _dictkeysobject, dk_nentries)"],
        ),
        fact(
            "objects: keys::INDICES",
            keys::INDICES,
            &["offsetof(struct _dictkeysobject, dk_indices)"],
        ),
        fact("objects: keys::KIND: any", 0u64, &["DICT_KEYS_GENERAL"]),
        fact("objects: keys::KIND: shared", 2u64, &["DICT_KEYS_SPLIT"]),
        fact("objects: entries of str", 16u64, &["sizeof(PyDictUnicodeEntry)"]),
        fact(
            "objects: keys::VALUES",
            if shape == DictionaryShape::KindsWithHeader {
                keys::VALUES
            } else {
                0
            },
            &["offsetof(struct _dictvalues, values)"],
        ),
        fact(
            "objects: keys::VALUES_VALID",
            keys::VALUES_VALID,
            &["offsetof(struct _dictvalues, valid)"],
        )
        .when(shape == DictionaryShape::KindsWithHeader),
    ]
}
