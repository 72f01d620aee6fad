from backtrail.wording import choices, error_words, risk_free_words


def test_a_risk_free_rate_is_told_in_percent_with_its_own_digits():
    rates = ("0.02", "0.0525", "-0.005", "0.1", "0.00005")
    assert [risk_free_words({"risk_free_rate": rate}) for rate in rates] == [
        "2% a year", "5.25% a year", "-0.5% a year", "10% a year", "0.005% a year",
    ]  # fmt: skip
    assert risk_free_words({}) is None


def test_an_error_is_shown_in_one_line_that_no_terminal_obeys():
    assert (
        error_words("ValueError", "\n  no \x1b[31mluck\tat\nall") == "ValueError: no  [31mluck at"
    )
    assert error_words("ValueError", "ValueError") == "ValueError"
    assert error_words("timeout", "") == error_words("timeout", None) == "timeout"


def test_what_there_is_begins_with_what_is_near_and_ends_with_a_count():
    known = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
    assert choices("bet", known) == "are beta, alpha, gamma, delta, epsilon, zeta and 2 more"
    assert choices("gama", known) == "are gamma, alpha, beta, delta, epsilon, zeta and 2 more"
    assert choices("x", ["only"]) == "is only"
    assert choices("x", known[:2]) == "are alpha, beta"
