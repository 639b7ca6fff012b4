//! Variables of frames, and the objects that are shown of them.

use profiler_common::contract::layout::{Layout, frame_shape};
use pyebpf::language::python::layout::locals::{
    CELLS_AFTER_NAMES, CODE_OPTIMIZED, CODE_VARARGS, CODE_VARKEYWORDS, FREE_AFTER_NAMES, KINDS_AFTER_NAMES,
    LocalsFields,
};
use pyebpf::language::python::layout::objects::{
    EXCEPTION_ARGS, LIST_ITEMS, ObjectFields, SET_MASK, SET_TABLE, SET_USED, TYPE_BASE, TYPE_DICT,
    TYPE_ITEM_SIZE, TYPE_NAME,
};

use super::{Fact, fact};

pub(super) fn facts(layout: &Layout, objects: &ObjectFields) -> Vec<Fact> {
    let LocalsFields {
        first,
        scope,
        globals,
        flags,
        arguments,
        keyword_arguments,
        count,
        names,
        tuple_items,
        function_name,
        generator_name,
    } = objects.locals;
    let in_object = |field: u16| u64::from(objects.header_bytes) + u64::from(field);
    let is_object = layout.frame_shape == frame_shape::OBJECT;
    let in_frame = |field: u16| if is_object { in_object(field) } else { field.into() };
    let after_names = |bytes: u64| in_object(names) + bytes;
    vec![
        fact(
            "locals.first",
            in_frame(first),
            &[
                "offsetof(_PyInterpreterFrame, localsplus)",
                "offsetof(PyFrameObject, f_localsplus)",
            ],
        ),
        fact(
            "locals.scope",
            in_frame(scope),
            &[
                "offsetof(_PyInterpreterFrame, f_locals)",
                "offsetof(PyFrameObject, f_locals)",
            ],
        ),
        fact(
            "locals.globals",
            in_frame(globals),
            &[
                "offsetof(_PyInterpreterFrame, f_globals)",
                "offsetof(PyFrameObject, f_globals)",
            ],
        ),
        fact(
            "locals.flags",
            in_object(flags),
            &["offsetof(PyCodeObject, co_flags)"],
        ),
        fact(
            "locals.arguments",
            in_object(arguments),
            &["offsetof(PyCodeObject, co_argcount)"],
        ),
        fact(
            "locals.keyword_arguments",
            in_object(keyword_arguments.min(1 << 12)),
            &["offsetof(PyCodeObject, co_kwonlyargcount)"],
        )
        .when(keyword_arguments != LocalsFields::ABSENT),
        fact(
            "locals.count",
            in_object(count),
            &[
                "offsetof(PyCodeObject, co_nlocalsplus)",
                "offsetof(PyCodeObject, co_nlocals)",
            ],
        ),
        fact(
            "locals.names",
            in_object(names),
            &[
                "offsetof(PyCodeObject, co_localsplusnames)",
                "offsetof(PyCodeObject, co_varnames)",
            ],
        ),
        fact(
            "locals: KINDS_AFTER_NAMES",
            after_names(KINDS_AFTER_NAMES),
            &["offsetof(PyCodeObject, co_localspluskinds)"],
        )
        .when(!is_object),
        fact(
            "locals: FREE_AFTER_NAMES",
            after_names(FREE_AFTER_NAMES),
            &["offsetof(PyCodeObject, co_freevars)"],
        )
        .when(is_object),
        fact(
            "locals: CELLS_AFTER_NAMES",
            after_names(CELLS_AFTER_NAMES),
            &["offsetof(PyCodeObject, co_cellvars)"],
        )
        .when(is_object),
        fact(
            "locals.tuple_items",
            in_object(tuple_items),
            &["offsetof(PyTupleObject, ob_item)"],
        ),
        fact(
            "locals.function_name",
            in_object(function_name),
            &[
                "offsetof(PyFunctionObject, func_qualname)",
                "offsetof(PyFunctionObject, func_name)",
            ],
        ),
        fact(
            "locals.generator_name",
            in_object(generator_name.min(1 << 12)),
            &["offsetof(PyGenObject, gi_qualname)"],
        )
        .when(generator_name != LocalsFields::ABSENT),
        fact("locals: CODE_OPTIMIZED", CODE_OPTIMIZED, &["CO_OPTIMIZED"]),
        fact("locals: CODE_VARARGS", CODE_VARARGS, &["CO_VARARGS"]),
        fact("locals: CODE_VARKEYWORDS", CODE_VARKEYWORDS, &["CO_VARKEYWORDS"]),
        fact(
            "locals: LIST_ITEMS",
            in_object(LIST_ITEMS),
            &["offsetof(PyListObject, ob_item)"],
        ),
        fact(
            "locals: SET_USED",
            in_object(SET_USED),
            &["offsetof(PySetObject, used)"],
        ),
        fact(
            "locals: SET_MASK",
            in_object(SET_MASK),
            &["offsetof(PySetObject, mask)"],
        ),
        fact(
            "locals: SET_TABLE",
            in_object(SET_TABLE),
            &["offsetof(PySetObject, table)"],
        ),
        fact(
            "locals: EXCEPTION_ARGS",
            in_object(EXCEPTION_ARGS),
            &["offsetof(PyBaseExceptionObject, args)"],
        ),
        fact(
            "locals: TYPE_NAME",
            in_object(TYPE_NAME),
            &["offsetof(PyTypeObject, tp_name)"],
        ),
        fact(
            "locals: TYPE_ITEM_SIZE",
            in_object(TYPE_ITEM_SIZE),
            &["offsetof(PyTypeObject, tp_itemsize)"],
        ),
        fact(
            "locals: TYPE_BASE",
            in_object(TYPE_BASE),
            &["offsetof(PyTypeObject, tp_base)"],
        ),
        fact(
            "locals: TYPE_DICT",
            in_object(TYPE_DICT),
            &["offsetof(PyTypeObject, tp_dict)"],
        ),
    ]
}
