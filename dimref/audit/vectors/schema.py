"""The JSON Schema of the vectors' JSON files, which is written beside them."""

from __future__ import annotations

from typing import Any


def _record(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {"type": "object", "required": [*required], "properties": {**required, **optional},
            "additionalProperties": False}  # fmt: skip


def _by_name(values: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values}


TEXT, WORDS = {"type": "string"}, {"type": "object"}
NUMBER = {"anyOf": [{"type": "number"}, {"enum": ["inf", "-inf", "nan"]}]}
ARRAY = _record({
    "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
    "dtype": {"enum": ["float64", "float32", "int64", "uint8"]},
    "data": {"type": "array", "items": NUMBER, "description": "in C order: the last axis runs fastest"},
})  # fmt: skip
ARRAYS = _by_name({"$ref": "#/$defs/array"})
MISTAKE = _record({
    "keys": {"type": "array", "items": TEXT, "minItems": 1, "description": "mistakes that give these same numbers"},
    "outputs": ARRAYS,
    "gradients": ARRAYS,
})  # fmt: skip
ENTRY = _record({"title": TEXT, "consequence": TEXT, "fix": TEXT, "source": TEXT})
CASE = _record(
    {
        "id": {"type": "string", "pattern": r"^[a-z_]+\.\w+/[\w.-]+$"},
        "function": TEXT,
        "case": TEXT,
        "options": WORDS,
        "inputs": ARRAYS,
        "outputs": ARRAYS,
        "gradients": ARRAYS,
        "mistakes": {"type": "array", "items": {"$ref": "#/$defs/mistake"}},
    },
    of=TEXT,
)
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Golden vectors of dimref",
    **_record({
        "$schema": TEXT,
        "suite": {"type": "string", "pattern": r"^\d{4}\.\d{2}$"},
        "module": TEXT,
        "how_to_read": TEXT,
        "mistakes": _by_name(_by_name(ENTRY)),
        "cases": {"type": "array", "items": CASE},
    }),
    "$defs": {"array": ARRAY, "mistake": MISTAKE},
}  # fmt: skip
