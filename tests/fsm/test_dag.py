"""`strait.dag`: orders that hold, and faults that are named."""

from __future__ import annotations

import pickle
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strait.dag import DagError, dependents, descendants, roots, topological_order

DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


def fault_of(nodes):
    with pytest.raises(DagError) as caught:
        topological_order(nodes)
    return caught.value


def test_nothing_has_an_order():
    assert topological_order({}) == []


def test_nodes_that_are_in_order_stay_where_they_are():
    assert topological_order({"a": [], "b": ["a"], "c": [], "d": ["c"]}) == ["a", "b", "c", "d"]


def test_nodes_that_are_ready_together_keep_the_order_they_were_given_in():
    assert topological_order({"z": ["y"], "m": [], "y": [], "a": []}) == ["m", "y", "z", "a"]


def test_a_dependency_that_is_named_twice_counts_once():
    assert topological_order({"a": [], "b": ["a", "a"]}) == ["a", "b"]


def test_roots_dependents_and_descendants():
    assert roots(DIAMOND) == ["a"]
    assert dependents(DIAMOND) == {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}
    assert descendants(DIAMOND, "a") == ["b", "c", "d"]
    assert descendants(DIAMOND, "d") == []


def test_a_cycle_is_named_in_order_and_without_what_hangs_on_it():
    fault = fault_of({"c": ["b"], "a": ["b"], "b": ["a"], "root": []})
    assert fault.cycles == (("a", "b", "a"),)
    assert str(fault) == "circular dependency: a -> b -> a"


def test_two_cycles_are_both_named():
    fault = fault_of(
        {"a": ["b"], "b": ["a"], "x": ["z"], "y": ["x"], "z": ["y"], "end": ["a", "z"]}
    )
    assert fault.cycles == (("a", "b", "a"), ("x", "z", "y", "x"))


def test_all_faults_of_names_are_told_at_once():
    fault = fault_of([("a", ["a"]), ("b", ["nowhere"]), ("b", [])])
    assert fault.duplicates == ("b",)
    assert fault.missing == (("b", "nowhere"),)
    assert fault.self_dependent == ("a",)
    assert fault.faults() == [
        "`b` is there more than once",
        "`b` depends on `nowhere`, which does not exist",
        "`a` depends on itself",
    ]


def test_a_fault_survives_pickling():
    fault = fault_of({"a": ["b"], "b": ["a"]})
    twin = pickle.loads(pickle.dumps(fault))
    assert twin.cycles == fault.cycles
    assert str(twin) == str(fault)


def test_a_chain_of_ten_thousand_needs_no_recursion():
    chain = {str(i): [str(i + 1)] for i in range(10_000)}
    chain["10000"] = []
    assert topological_order(chain)[:2] == ["10000", "9999"]
    chain["10000"] = ["9999"]
    assert fault_of(chain).cycles == (("9999", "10000", "9999"),)


names = st.sampled_from("abcdefgh")
graphs = st.dictionaries(names, st.lists(names, max_size=3), max_size=8)


@given(graphs)
def test_an_order_puts_every_node_after_its_dependencies_or_the_fault_is_real(graph):
    try:
        order = topological_order(graph)
    except DagError as fault:
        assert_real(fault, graph)
        return
    assert sorted(order) == sorted(graph)
    place = {node: i for i, node in enumerate(order)}
    assert all(place[dep] < place[node] for node, deps in graph.items() for dep in deps)


def assert_real(fault, graph):
    assert fault.missing or fault.self_dependent or fault.cycles
    assert all(dep in graph[node] and dep not in graph for node, dep in fault.missing)
    assert all(node in graph[node] for node in fault.self_dependent)
    for cycle in fault.cycles:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert all(b in graph[a] for a, b in pairwise(cycle))


@given(graphs, names)
def test_descendants_are_what_can_be_reached_by_dependents(graph, start):
    direct = dependents(graph)
    found = set(descendants(graph, start))
    closure = set(direct.get(start, ()))
    for _ in graph:
        closure |= {node for near in closure for node in direct.get(near, ())}
    assert found == {node for node in closure if node in graph}
