import inspect

import backtrail.errors as errors


def test_every_error_is_exported_and_of_one_family():
    classes = {
        name: item
        for name, item in vars(errors).items()
        if inspect.isclass(item) and not name.startswith("_") and item.__module__ == errors.__name__
    }
    assert set(classes) == set(errors.__all__)
    for name, item in classes.items():
        if name != "Problem":
            assert issubclass(item, errors.BacktrailError), name


def test_problems_are_told_together_and_kept_apart():
    problems = [errors.Problem("a.yaml: x", "it is 1", "write 2"), errors.Problem("b", "c", "d")]
    error = errors.ConfigError(problems)
    assert str(error) == "2 mistakes:\n  - a.yaml: x: it is 1; write 2\n  - b: c; d"
    assert error.problems == tuple(problems)
    assert str(errors.DataValidationError(problems[:1])).startswith("1 bad row:\n")
