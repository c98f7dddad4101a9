from main import order, quote

from strait.authoring import create_test_context


def test_what_is_quoted_is_what_is_ordered() -> None:
    ctx, _ = create_test_context(sync=True)
    quoted = quote({"cups": 2}, ctx)
    assert quoted == {"cents": 900}
    assert order({"parent_outputs": {"quote": quoted}}, ctx) == {"ordered_for": 900}
