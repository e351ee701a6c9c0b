"""Trains models without run folders, each after another; as a program, with torchrun, for the tests
of several processes."""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from aectl.training import distributed
from aectl.training.reading import Reading
from aectl.training.run import Epoch
from aectl.verbs.planning import new_run, prepare, start_of


def trained(options, device="cpu"):
    """The state of a network that is trained with such options, and its metrics."""
    config, data = prepare(options, {}, Reading(Path("none"), print))
    run = new_run(config, data, distributed.joined(torch.device(device)), start_of(config))
    rows = [event.row for event in run.epochs() if isinstance(event, Epoch)]
    state = run.network.state_dict().items()
    return {name: value.cpu().contiguous().clone() for name, value in state}, rows


def refuse_different(state):
    """Raises AssertionError where the weights of this process are not those of the first."""
    for name, value in state.items():
        of_first = value.clone()
        torch.distributed.broadcast(of_first, 0)
        assert value.equal(of_first), name


def main(cases, folder):
    for name, options in json.loads(Path(cases).read_text()).items():
        state, rows = trained(options)
        refuse_different(state)
        if distributed.is_first():
            save_file(state, f"{folder}/{name}.safetensors", {"rows": json.dumps(rows)})
    # Left to the end of the interpreter, gloo's threads abort the process now and then.
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
