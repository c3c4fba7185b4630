"""Tables in Markdown."""

from last.utils.markdown import markdown_table


def test_a_table_has_a_line_for_each_row_and_cells_may_hold_bars() -> None:
    assert markdown_table(["name", "set"], [["slow", "a|b"]]) == "| name | set |\n| --- | --- |\n| slow | a\\|b |"
