"""The state of the process that each of several runs has for itself."""

import torch

from aectl.training.process_state import ProcessState


def test_each_run_has_random_numbers_and_threads_as_if_it_were_alone():
    before = torch.get_num_threads()
    alone = {}
    for seed in (1, 2):
        torch.manual_seed(seed)
        alone[seed] = torch.rand(6).tolist()
    states, drawn = {}, {1: [], 2: []}
    for seed in (1, 2):
        torch.manual_seed(seed)
        torch.set_num_threads(seed)
        states[seed] = ProcessState(torch.device("cpu"))
    for seed in (1, 1, 2, 1, 2, 2):
        with states[seed]:
            assert torch.get_num_threads() == seed
            drawn[seed] += torch.rand(2).tolist()
    torch.set_num_threads(before)
    assert drawn == alone
