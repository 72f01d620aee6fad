from backtrail.wording import error_words


def test_an_error_is_shown_in_one_line_that_no_terminal_obeys():
    assert (
        error_words("ValueError", "\n  no \x1b[31mluck\tat\nall") == "ValueError: no  [31mluck at"
    )
    assert error_words("ValueError", "ValueError") == "ValueError"
    assert error_words("timeout", "") == error_words("timeout", None) == "timeout"
