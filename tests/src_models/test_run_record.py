import json

import pytest

from src_models.model_errors import SettingsError, TrainingError
from src_models.run_record import RunRecord, first_difference


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store" / "run.json"


@pytest.fixture
def record(path):
    asked = {"image": "a.tif", "region": (0, 0, 9, 9), "overlap": "keep"}
    return RunRecord.begin(path, asked, unit="tiles", total=4, run_id="abc", clock=lambda: 12.5)


def test_a_record_reads_back_as_it_was_written(record, path):
    record.finish("a")
    record.fail("b", "chunk 7 is damaged")
    record.save()
    read = RunRecord.load(path, unit="tiles")
    assert read == record
    assert (read.run_id, read.begun, read.done, read.failed) == ("abc", 12.5, {"a"}, {"b": "chunk 7 is damaged"})


def test_a_run_without_an_identifier_gets_a_new_one(path):
    first, second = (RunRecord.begin(path, {}, unit="tiles", total=1).run_id for _ in range(2))
    assert first != second


def test_a_part_that_is_done_is_not_failed(record):
    record.fail("a", "no memory")
    record.finish("a")
    assert (record.done, record.failed) == ({"a"}, {})
    record.fail("a", "no memory")
    assert record.done == set()


def test_a_missing_record_is_none_and_a_damaged_one_is_an_error(path):
    assert RunRecord.load(path, unit="tiles") is None
    path.parent.mkdir()
    good = '{"run": "a", "about": {}, "tiles": 1'
    for text in (
        "",
        "{",
        "[]",
        "{}",
        '{"run": "a", "about": 3, "tiles": 1}',
        good,
        f'{good}, "done": 3}}',
        "[" * 99_999,
    ):
        path.write_text(text)
        with pytest.raises(SettingsError, match=r"damaged.*resume=False"):
            RunRecord.load(path, unit="tiles")


def test_records_of_version_0_1_are_read(path):
    path.parent.mkdir()
    path.write_text(json.dumps({"run": "a", "about": {"side": 512}, "tiles": 9}))
    assert RunRecord.load(path, unit="tiles") == RunRecord(path, {"side": 512}, "tiles", 9, "a")
    path.write_text(json.dumps({"run": "b", "prompts": 320, "begun": 1.5}))
    assert RunRecord.load(path, unit="prompts") == RunRecord(path, {}, "prompts", 320, "b", 1.5)


def test_version_0_1_can_read_a_record(record, path):
    values = json.loads(path.read_text())
    assert isinstance(values["about"], dict)
    assert (values["run"], values["tiles"]) == ("abc", 4)


def test_saving_leaves_no_temporary_file(record, path):
    record.save()
    assert [p.name for p in path.parent.iterdir()] == ["run.json"]
    record.delete()
    record.delete()
    assert list(path.parent.iterdir()) == []


def test_the_same_request_may_resume(record):
    record.check_resumable({"image": "a.tif", "region": (0, 0, 9, 9), "overlap": "keep"}, "o.zarr")


def test_another_request_is_refused_with_setting_values_and_remedy(record):
    asked = {"image": "a.tif", "region": (0, 0, 9, 8), "overlap": "replace"}
    with pytest.raises(SettingsError) as raised:
        record.check_resumable(asked, "o.zarr holds an unfinished run")
    assert str(raised.value) == (
        "o.zarr holds an unfinished run with region [0, 0, 9, 9], but region is [0, 0, 9, 8]; "
        "continue with the same settings, or drop it with resume=False"
    )
    assert raised.value.parameter == "region"
    with pytest.raises(TrainingError, match="overlap is 'replace'"):
        record.check_resumable(asked, "o.zarr", ignored=["region"], error=TrainingError)


def test_a_setting_that_only_one_side_has_is_a_difference():
    assert first_difference({"a": 1}, {"a": 1}) is None
    assert first_difference({"a": 1, "b": 2}, {"a": 1}).name == "b"
    assert first_difference({"a": 1}, {"a": 1, "c": 0}).asked == 0


def test_of_nested_settings_the_inner_one_is_named():
    earlier, asked = {"grid": {"points": 6, "nms": 0.7}}, {"grid": {"points": 6, "nms": 0.5}}
    difference = first_difference(earlier, asked)
    assert (difference.name, difference.earlier, difference.asked) == ("nms", 0.7, 0.5)
