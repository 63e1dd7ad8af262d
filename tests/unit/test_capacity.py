import pytest

from steps.core.capacity import holds, lack, quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4),
        ("500m", 0.5),
        ("1.5", 1.5),
        ("2k", 2000),
        ("1Ki", 1024),
        ("16Gi", 16 * 2**30),
        ("1T", 1e12),
        ("2e3", 2000),
        ("x", None),
        ("1.2.3", None),
    ],
)
def test_quantities_are_those_of_kubernetes(text, value):
    assert quantity(text) == value


def a_node(name="n", *, labels=None, unschedulable=False, **allocatable):
    amounts = {"nvidia.com/gpu" if k == "gpu" else k: v for k, v in allocatable.items()}
    spec = {"unschedulable": True} if unschedulable else {}
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": spec, "status": {"allocatable": amounts}}


WANTED = {"nvidia.com/gpu": "2", "memory": "64Gi"}
SMALL, LARGE = a_node("small", gpu="1", memory="128Gi"), a_node("large", gpu="8", memory="1Ti", labels={"pool": "gpu"})


def test_one_node_that_could_take_a_replica_is_enough():
    assert lack([SMALL, LARGE], WANTED, {}) is None
    assert lack([SMALL, LARGE], WANTED, {"pool": "gpu"}) is None


def test_an_amount_that_cannot_be_read_is_not_taken_for_none():
    assert lack([a_node(gpu="many", memory="1Ti")], WANTED, {}) is None
    assert lack([a_node(gpu="1", memory="?")], WANTED, {}) is not None


def test_what_the_best_node_lacks_is_named_with_what_it_has():
    assert lack([SMALL, a_node("none", memory="64Gi")], WANTED, {}) == (
        "a replica asks for 2 nvidia.com/gpu and the best node, small, has 1 in all"
    )


def test_nodes_that_take_no_pods_or_are_not_selected_do_not_count():
    assert lack([{**LARGE, "spec": {"unschedulable": True}}], WANTED, {}) == "no node takes pods"
    assert lack([LARGE], WANTED, {"pool": "other"}) == "no node that takes pods has pool=other"


def test_who_asks_for_nothing_gets_it_anywhere():
    assert lack([SMALL], {}, {}) is None


def test_several_pods_together_need_a_node_that_has_as_much_as_all_of_them():
    assert holds([SMALL, LARGE], WANTED, {}, 4)
    assert not holds([SMALL, LARGE], WANTED, {}, 5)
    assert not holds([SMALL], {"nvidia.com/gpu": "1"}, {}, 2)
    assert holds([LARGE, SMALL], {}, {}, 100)
    assert holds([a_node(gpu="many")], {"nvidia.com/gpu": "1"}, {}, 100)
