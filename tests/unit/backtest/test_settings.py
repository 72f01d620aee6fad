from datetime import date

from backtrail.backtest.settings import RunArguments, make_request, read_project


def test_a_date_among_the_parameters_is_the_text_that_a_config_has(tmp_path):
    params = {"since": date(2020, 1, 2), "days": [date(2020, 1, 3)]}
    arguments = RunArguments("mine", "prices", "2020-01-02", "2020-02-26", None, params, {}, {})
    request = make_request(arguments, read_project(tmp_path, None), "s.py", None)
    assert request.params == {"since": "2020-01-02", "days": ["2020-01-03"]}
