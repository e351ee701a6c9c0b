"""The traits of the sparsity rules, beside what codes, penalties and configs do."""

import pytest
import torch

from aectl.config.configuration import Config
from aectl.config.sparsity import RULES
from aectl.config.traits import with_trait
from aectl.errors import ConfigError
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.objectives.penalties import SPARSITY

BATCH, UNITS, K = 20, 10, 3
each_rule = pytest.mark.parametrize("name", RULES)


def code_of(name):
    """The code of a rule, in training mode, of a network made by the options alone."""
    k = {"k": K} if RULES[name].keeps_k else {}
    config = Config.from_options({"sparsity": name, "hidden": UNITS, **k})
    return build_network(Architecture(config.model, (1, 2, 2))).encoder.code.train()


def test_a_rule_with_a_beta_has_a_penalty():
    assert set(with_trait(RULES, "beta")) == set(SPARSITY)


@each_rule
def test_k_units_stay_active_by_the_rules_that_keep_k(name):
    preactivation = torch.rand(BATCH, UNITS, generator=torch.Generator().manual_seed(0)) + 1
    active = code_of(name)(preactivation).count_nonzero().item()
    assert (active == K * BATCH) == RULES[name].keeps_k


@each_rule
def test_thresholds_that_are_learnt_are_parameters_of_the_code(name):
    assert bool(list(code_of(name).parameters())) == RULES[name].learns_thresholds


@each_rule
def test_a_unit_that_can_die_gets_no_gradient_far_below_its_threshold(name):
    preactivation = torch.full((BATCH, UNITS), -5.0, requires_grad=True)
    (gradient,) = torch.autograd.grad(code_of(name)(preactivation).sum(), preactivation)
    assert not gradient.any() or not RULES[name].can_die


@each_rule
def test_another_activation_is_refused_where_the_rule_needs_its_own(name):
    options = {"sparsity": name, "code_activation": "softplus"}
    if RULES[name].needs_it:
        with pytest.raises(ConfigError, match=f"needs --code-activation {RULES[name].activation}"):
            Config.from_options(options)
    else:
        assert Config.from_options(options).model.code_activation == "softplus"


@each_rule
def test_its_defaults_are_those_of_the_config(name):
    config = Config.from_options({"sparsity": name})
    rule = RULES[name]
    assert config.model.code_activation == (rule.activation or "relu")
    assert rule.beta in (None, config.loss.beta)


def test_a_trait_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="no trait 'keep_k'"):
        with_trait(RULES, "keep_k")


def test_the_help_of_the_option_has_the_summary_of_each_rule(aectl):
    shown = " ".join(aectl("train", "--help").out.replace("│", " ").split())
    for name, rule in RULES.items():
        assert f"{name}: {rule.summary}" in shown
