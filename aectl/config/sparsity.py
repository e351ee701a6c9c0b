"""The rules of sparsity that `--sparsity` names, with their traits: a new rule is a new row.

If its code is more than an activation, it is a class of `models.codes` and a row of
`models.build.CODES`; if it has a penalty, that is a row of `objectives.penalties.SPARSITY`. The
manual's page `sparsity` describes it.
"""

from dataclasses import dataclass

from aectl.config.traits import with_trait


@dataclass(frozen=True)
class Rule:
    """A rule that makes a code sparse.

    - `summary`: the rule, in the help of `--sparsity`.
    - `activation`: the default activation of the code; None: that of the kind of model.
    - `needs_it`: whether no other activation is allowed; `because`: the reason, for the message.
    - `beta`: the default weight of its penalty; None if it has no penalty.
    - `decay`: the default weight decay of a network, divided by the number of values of an image.
    - `batch_size`, `lr`: the defaults of these options; None: the usual ones.
    - `keeps_k`: only k units stay active, of an input or on average over a batch.
    - `settles`: at inference, a threshold stands for the other inputs of a batch; a sample of the
      training inputs sets it after each epoch.
    - `learns_thresholds`: the code has parameters of its own.
    - `can_die`: units that stay below the threshold get no gradient, and can be reactivated.
    - `auxiliary`: dead units can be trained to reconstruct the residual of the active ones.
    - `equal_start`: all units are initialised with the same probability of being active.
    - `from_inputs`: units are initialised with training inputs, so that each is active for some.
    - `smooth`: the code has a derivative everywhere.
    - `frozen_decoder`: its penalty decodes with weights of the decoder that it does not train.
    - `ties`: the decoder uses the encoder's weights by default.
    - `unit_norm`: decoder columns have length 1 by default: else activations could shrink while the
      columns grow.
    - `of_maps`: it has one meaning for the units of a map, at all places alike.
    - `floats`: at most so many floats for each unit are in memory while its code is computed at
      inference: the pre-activation, the code, and intermediate results.
    """

    summary: str
    activation: str | None = "relu"
    needs_it: bool = False
    because: str = ""
    beta: float | None = None
    decay: float = 0.0
    batch_size: int | None = None
    lr: float | None = None
    keeps_k: bool = False
    settles: bool = False
    learns_thresholds: bool = False
    can_die: bool = False
    auxiliary: bool = False
    equal_start: bool = True
    smooth: bool = False
    frozen_decoder: bool = False
    unit_norm: bool = False
    of_maps: bool = False
    floats: int = 2
    ties: bool = False
    from_inputs: bool = False


NONE, KL = "none", "kl"

RULES: dict[str, Rule] = {
    NONE: Rule("no rule", activation=None, equal_start=False, smooth=True, of_maps=True),
    KL: Rule(
        "a penalty, sum_j KL(rho || rho_hat_j)",
        activation="sigmoid",
        needs_it=True,
        because="rho is the mean of activations between 0 and 1",
        beta=3.0,
        decay=3e-6,
        batch_size=512,
        lr=0.02,
        equal_start=False,
        smooth=True,
    ),
    "l1": Rule(
        "a penalty, sum_j |code_j|", beta=0.1, can_die=True, smooth=True, unit_norm=True,
        of_maps=True,
    ),
    "topk": Rule(
        "the k largest activations of an input", keeps_k=True, can_die=True, auxiliary=True,
        of_maps=True, floats=7,
    ),
    "batch-topk": Rule(
        "the k largest on average over a batch", keeps_k=True, settles=True, can_die=True,
        auxiliary=True, of_maps=True, floats=5,
    ),
    "jumprelu": Rule(
        "learnt thresholds, and a penalty",
        needs_it=True, learns_thresholds=True, beta=0.1, can_die=True, auxiliary=True,
        unit_norm=True, floats=6,
    ),
    "gated": Rule(
        "learnt gates, and a penalty",
        needs_it=True, learns_thresholds=True, beta=0.1, can_die=True, frozen_decoder=True,
        unit_norm=True, floats=5,
    ),
    "wta": Rule("the largest activations of each unit over a batch"),
    "omp-1": Rule(
        "the one unit of largest magnitude of an input, with its sign, as in k-means",
        activation="linear", needs_it=True, because="the active unit has either sign",
        equal_start=False, unit_norm=True, ties=True, from_inputs=True, floats=3,
    ),
}  # fmt: skip


def defaults(option: str) -> tuple[tuple[str, str, object], ...]:
    """The defaults of an option that differ between rules, as `Option.instead`."""
    return tuple(
        ("sparsity", name, getattr(RULES[name], option)) for name in with_trait(RULES, option)
    )


def usual_decay(rule: str, values: int | None) -> float | None:
    """The default weight decay for a rule and images of so many `values`; None if it depends on
    their number and that is unknown.

    The weights of a smooth filter are the smaller, the more pixels they are spread over.
    """
    decay = RULES[rule].decay
    return None if decay and values is None else decay * (values or 0)
