import yaml

from dualad.design.record import replacement_notice, write_record
from dualad.design.schema import complete_config

CONFIG = """
datasets: {digits: {reader: digits, normal: [1]}, faces: {reader: faces}}
methods: {dual: {family: dual_autoencoder}, pca: {family: pca}}
defaults: {pca: {components: 8}}
"""


def completed(text):
    return complete_config(yaml.safe_load(text))


def test_a_record_is_a_configuration_file_again(tmp_path):
    path = tmp_path / "results" / "configuration.json"
    write_record(path, completed(CONFIG))
    assert completed(path.read_text()) == completed(CONFIG)


def test_the_same_configuration_or_more_of_it_replaces_nothing(tmp_path):
    path = tmp_path / "configuration.json"
    assert replacement_notice(path, completed(CONFIG)) == ""
    write_record(path, completed(CONFIG))
    assert replacement_notice(path, completed(CONFIG)) == ""
    more = CONFIG.replace("pca: {family: pca}", "pca: {family: pca}, std: {family: pixel_std}")
    other_machine = "\ncompute: {threads: 1, gpu: 0}\nallow_gaps: true\n"
    assert replacement_notice(path, completed(more + other_machine)) == ""


def test_what_is_missing_or_set_otherwise_is_named_with_the_remedy(tmp_path):
    path = tmp_path / "results" / "configuration.json"
    write_record(path, completed(CONFIG))
    other = completed(
        CONFIG.replace(", faces: {reader: faces}", "").replace("[1]", "[4]").replace("8", "9")
        + "image_size: 32\n"
    )
    notice = replacement_notice(path, other)
    named = "datasets.digits, datasets.faces, defaults.pca, image_size."
    assert named in notice and "methods" not in notice
    assert str(path) in notice and "--directory" in notice and "copy" in notice


def test_many_differences_are_counted_and_a_damaged_record_is_passed_over(tmp_path):
    path = tmp_path / "configuration.json"
    many = {"datasets": {f"d{i}": {} for i in range(9)}}
    write_record(path, many)
    assert "d5 and 3 more." in replacement_notice(path, {"datasets": {}})
    path.write_text("{")
    assert replacement_notice(path, {"datasets": {}}) == ""
