"""The computer and software of a report."""

from __future__ import annotations

import json

from napari_sam.evaluation.report.machine_info import machine_info


def test_the_machine_and_its_packages_are_described():
    machine = machine_info()
    assert machine["cores"] >= 1
    assert {"torch", "numpy"} <= machine["packages"].keys()
    json.dumps(machine)
