from steps.core.transfer import differences, of_right_size, plan
from tests.stubs.released import Released

MANIFEST = Released({"a": b"1", "b": b"22", "c": b"333"}).manifest
A, B, C = MANIFEST.files


def test_every_file_is_either_copied_or_reused():
    made = plan(MANIFEST, [B])
    assert (made.copy, made.reuse) == ((A, C), (B,))
    assert (made.copy_bytes, made.reuse_bytes) == (4, 2)


def test_a_listing_tells_sizes_only():
    assert of_right_size(MANIFEST, {"a": 1, "b": 3, "x": 3}) == (A,)


def test_a_directory_that_is_as_it_should_be_has_no_differences():
    assert differences(MANIFEST, {"a": 1, "b": 2, "c": 3}) == ()


def test_every_difference_is_told_in_the_order_of_the_paths():
    assert differences(MANIFEST, {"x": 9, "b": 3, "c": None, "y": None}) == (
        "a: missing",
        "b: 3 bytes, the manifest says 2",
        "c: not a regular file",
        "x: not in the manifest",
        "y: not in the manifest",
    )
