"""A step and its template cannot disagree: the template's arguments, filled in, parse to the inputs that were meant."""

from dataclasses import MISSING, fields
from typing import Any

import pytest

from steps import contracts, entry
from steps.step import encode
from workflows import argument, bridge
from workflows.local import substitute

SAMPLES: dict[Any, object] = {str: "a b=c --d '\"\n{{e}}", int: -7, float: 0.5, bool: True, float | None: None}


@pytest.fixture(params=contracts.ALL, ids=lambda step: step.name)
def step(request):
    return request.param


@pytest.fixture
def template(step):
    return bridge.container(step, image="i", retry_strategy=bridge.retry(2, 15))._build_template()


def test_what_the_template_is_given_is_what_the_step_gets(step, template):
    meant = step.inputs(**{f.name: SAMPLES[f.type] for f in fields(step.inputs)})
    scope = {argument.expression(f.name): encode(getattr(meant, f.name)) for f in fields(step.inputs)}

    argv = [substitute.fill(arg, scope) for arg in template.container.args]

    assert entry.parse(step, argv) == meant


def test_inputs_are_required_by_the_template_exactly_when_the_contract_requires_them(step, template):
    required = {f.name for f in fields(step.inputs) if f.default is MISSING}
    defaults = {f.name: encode(f.default) for f in fields(step.inputs) if f.default is not MISSING}

    assert {p.name for p in template.inputs.parameters if p.default is None} == required
    assert {p.name: p.default for p in template.inputs.parameters if p.default is not None} == defaults
    assert all(p.value is None for p in template.inputs.parameters)


def test_what_the_step_writes_is_where_the_template_looks(step, template, tmp_path):
    written = step.outputs(**{f.name: SAMPLES[f.type] for f in fields(step.outputs)})

    entry.write(written, tmp_path)

    looked_for = {p.name: p.value_from.path.removeprefix(bridge.OUTPUT_DIR + "/") for p in template.outputs.parameters}
    assert {name: (tmp_path / file).read_text() for name, file in looked_for.items()} == {
        f.name: encode(getattr(written, f.name)) for f in fields(step.outputs)
    }


def test_an_output_stands_for_a_skipped_step_exactly_when_the_contract_says_so(step, template):
    defaults = {f.name: encode(f.default) for f in fields(step.outputs) if f.default is not MISSING}

    found = {p.name: p.value_from.default for p in template.outputs.parameters if p.value_from.default is not None}
    assert found == defaults
