"""`aectl info`: the contents of a model file."""

import json
import math
from typing import Annotated

import typer

from aectl.cli import options
from aectl.cli.stdout import show
from aectl.config.spelling import all_spelt, spelt_out
from aectl.models import model_file, training_record
from aectl.models.calibration import PREFIX
from aectl.models.operations import flops

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Verify = Annotated[
    bool,
    typer.Option(
        "--verify",
        help="Check the weights and the description against the digests saved with them.",
    ),
]


def info(
    model: options.Model,
    as_json: Json = False,
    verify: Verify = False,
    offline: options.Offline = False,
    debug: options.Debug = False,
) -> int:
    """Show a model's architecture, its training data and its options.

    Example: aectl info runs/mnist-autoencoder-1
    """
    from aectl.verbs.hub import located

    model = located(model)
    card = model_file.read_card(model)
    described = all_spelt(card.to_json())
    if verify:
        verified = model_file.verify(model)
        described["weights_verified"] = verified.weights
        described["description_verified"] = verified.description
    if "vocabulary" in described and not as_json:
        described["vocabulary"] = f"{described['architecture']['tokens']:,} tokens"
        described["training"] = {k: v for k, v in described["training"].items() if k != "baselines"}
    if training_record.HELD_OUT in described["training"] and not as_json:
        count = len(described["training"][training_record.HELD_OUT])
        described["training"][training_record.HELD_OUT] = f"{count:,} images"
    shapes = model_file.tensor_shapes(model)
    sizes = {
        "weights": sum(math.prod(s) for name, s in shapes.items() if not name.startswith(PREFIX)),
        "bytes": model_file.resolve(model).stat().st_size,
    }
    sizes |= {f"flops_{verb}": count for verb, count in flops(card.architecture).items()}
    described |= sizes if as_json else {name: f"{size:,}" for name, size in sizes.items()}
    described["exports"] = list(card.parts)
    described["tensors"] = {name: list(shape) for name, shape in sorted(shapes.items())}
    if as_json:
        show(json.dumps(described, indent=2) + "\n")
        return 0
    lines = _flat(described)
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        show(f"{name:<{width}}  {value}".rstrip() + "\n")
    return 0


def _flat(values: dict[str, object], inside: str = "") -> list[tuple[str, str]]:
    """A nested object as lines: `architecture.hidden`, `392`."""
    lines = []
    for name, value in values.items():
        if isinstance(value, dict):
            lines += _flat(value, f"{inside}{name}.")
        elif isinstance(value, list | tuple):
            lines.append((inside + name, ", ".join(str(part) for part in value)))
        else:
            lines.append((inside + name, str(value)))
    return [(spelt_out(name), spelt_out(value)) for name, value in lines]
