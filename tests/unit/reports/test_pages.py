import json

import pytest
from jinja2 import UndefinedError

from backtrail.reports.pages import embedded_json, write_page


def test_embedded_json_cannot_end_its_script_and_reads_back_equal():
    value = {"name": "</script><!--<script>&\u2028 é 😀", "n": [1.5, None]}
    text = embedded_json(value)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == value


def test_a_number_that_json_does_not_have_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        embedded_json([float("nan")])


def test_a_name_the_template_needs_and_does_not_get_is_an_error(tmp_path):
    with pytest.raises(UndefinedError):
        write_page(tmp_path / "page.html", "failed.html.j2", data={}, charts=False)
    assert list(tmp_path.iterdir()) == []
