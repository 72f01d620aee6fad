import numpy as np
import pytest

from backtrail.validation import cluster_trials, spread_evenly


def planted(groups, members, *, bars=600, seed=1, noise=0.5):
    """Return trials of some ideas, and the idea of each: correlation 1 / (1 + noise^2) within."""
    source = np.random.default_rng(seed)
    ideas = source.normal(size=(groups, bars))
    owner = source.permutation(np.repeat(np.arange(groups), members))
    return ideas[owner] + noise * source.normal(size=(len(owner), bars)), owner


@pytest.mark.parametrize(("groups", "members"), [(1, 9), (5, 12), (30, 4), (12, 1)])
def test_planted_ideas_are_found_one_by_one(groups, members):
    returns, owner = planted(groups, members)
    found = cluster_trials(returns)
    assert found.count == groups
    for group in range(groups):
        assert len(set(found.labels[owner == group].tolist())) == 1
    # Numbered by their first trial.
    assert list(dict.fromkeys(found.labels.tolist())) == list(range(groups))


def test_noise_is_as_many_ideas_as_trials_and_copies_are_one():
    noise = np.random.default_rng(2).normal(size=(40, 500))
    assert cluster_trials(noise).count == 40
    assert cluster_trials(np.repeat(noise[:1], 40, axis=0)).count == 1
    opposite = np.vstack([noise[0], -noise[0]])
    assert cluster_trials(opposite).count == 2


def test_groups_are_joined_by_the_mean_of_their_correlations():
    # Correlations .9 within a and b; .6 and .2 between them and c: joined at .4 or less only.
    wanted = np.array([[1.0, 0.9, 0.6], [0.9, 1.0, 0.2], [0.6, 0.2, 1.0]])
    basis = np.linalg.qr(np.random.default_rng(3).normal(size=(50, 4)))[0]
    basis -= basis.mean(axis=0)
    basis = np.linalg.qr(basis)[0][:, :3]
    returns = np.linalg.cholesky(wanted) @ basis.T
    assert np.corrcoef(returns) == pytest.approx(wanted)
    assert cluster_trials(returns, least_correlation=0.41).labels.tolist() == [0, 0, 1]
    assert cluster_trials(returns, least_correlation=0.39).labels.tolist() == [0, 0, 0]
    assert cluster_trials(returns, least_correlation=0.95).labels.tolist() == [0, 1, 2]


def test_the_variance_is_that_of_the_groups_not_of_their_members():
    returns, owner = planted(20, 10, noise=0.3, seed=4)
    found = cluster_trials(returns)
    ideas = np.array([returns[owner == group].mean(axis=0) for group in range(20)])
    ratios = ideas.mean(axis=1) / ideas.std(axis=1, ddof=1)
    assert found.sharpe_variance == pytest.approx(ratios.var(ddof=1), rel=0.02)
    assert cluster_trials(returns[:1]).sharpe_variance == 0.0


def test_a_trial_that_never_moved_is_an_idea_of_its_own():
    returns, _ = planted(2, 5)
    returns = np.vstack([np.zeros(600), returns, np.full(600, 0.1)])
    found = cluster_trials(returns)
    assert found.count == 4
    assert (found.labels[0], found.labels[-1]) == (0, 3)


def test_the_order_of_the_trials_does_not_matter():
    returns, _ = planted(15, 6, noise=1.0, seed=6)
    order = np.random.default_rng(7).permutation(len(returns))
    one, other = cluster_trials(returns), cluster_trials(returns[order])
    assert one.count == other.count
    pairs = one.labels[order][:, np.newaxis] == one.labels[order]
    assert ((other.labels[:, np.newaxis] == other.labels) == pairs).all()


def test_an_even_sample_has_both_ends():
    assert spread_evenly(5, 10).tolist() == [0, 1, 2, 3, 4]
    assert spread_evenly(101, 5).tolist() == [0, 25, 50, 75, 100]


@pytest.mark.parametrize(
    ("returns", "least", "words"),
    [
        (np.zeros((0, 9)), 0.5, "pass 1 to 5,000 trials of 3 bars or more"),
        (np.zeros((3, 2)), 0.5, r"shape \(3, 2\)"),
        (np.full((3, 9), np.nan), 0.5, "value of trial 0 at bar 0 is nan"),
        (np.zeros((3, 9)), 1.0, "least_correlation is 1.0"),
    ],
)
def test_bad_input_is_refused(returns, least, words):
    with pytest.raises(ValueError, match=words):
        cluster_trials(returns, least_correlation=least)
