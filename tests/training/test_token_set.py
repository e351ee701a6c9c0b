"""The texts in memory, and the parts of them that are learnt from."""

import torch

from aectl.training.token_set import TokenSet

CPU = torch.device("cpu")
TEXTS = [[3, 4], list(range(10, 22)), [5], list(range(30, 35))]


def parts(batches):
    return [[t for t in row if t] for batch in batches for row in batch.inputs.tolist()]


def made():
    return TokenSet.of(TEXTS, 5, CPU)


def test_in_order_every_token_comes_once():
    assert parts(made().in_order(2)) == [
        [3, 4], [10, 11, 12, 13, 14], [15, 16, 17, 18, 19], [20, 21], [5], [30, 31, 32, 33, 34],
    ]  # fmt: skip


def test_in_training_a_long_text_is_learnt_from_anywhere_and_a_short_one_whole():
    texts, generator, begins = made(), torch.Generator().manual_seed(0), set()
    for _ in range(60):
        found = parts(texts.shuffled(4, generator))
        assert len(found) == len(texts) == 6
        short = sorted(part for part in found if part[0] < 10 or part[0] >= 30)
        assert short == [[3, 4], [5], [30, 31, 32, 33, 34]]
        for part in found:
            if 10 <= part[0] < 30:
                assert part == list(range(part[0], part[0] + 5))
                begins.add(part[0])
    assert begins == set(range(10, 18))


def test_from_a_later_batch_on_it_is_the_same_epoch():
    whole = parts(made().shuffled(2, torch.Generator().manual_seed(3)))
    assert parts(made().shuffled(2, torch.Generator().manual_seed(3), 1)) == whole[2:]


def test_a_batch_has_parts_of_similar_lengths_and_is_as_wide_as_the_longest():
    lengths = torch.randint(1, 21, (2000,), generator=torch.Generator().manual_seed(0)).tolist()
    texts = TokenSet.of([[row + 1] * length for row, length in enumerate(lengths)], 20, CPU)
    batches = [batch.inputs for batch in texts.shuffled(10, torch.Generator().manual_seed(1))]
    found = sorted((row[0], sum(t > 0 for t in row)) for b in batches for row in b.tolist())
    assert found == list(enumerate(lengths, 1))
    for inputs in batches:
        assert inputs.shape[1] == (inputs > 0).sum(1).max()
    padding = sum((inputs == 0).sum().item() for inputs in batches)
    assert padding < 0.05 * sum(lengths)
    order = torch.cat([inputs[:, 0] for inputs in batches])
    assert abs(torch.corrcoef(torch.stack([order.float(), torch.arange(2000.0)]))[0, 1]) < 0.1
    widths = torch.tensor([inputs.shape[1] for inputs in batches], dtype=torch.float)
    assert abs(torch.corrcoef(torch.stack([widths, torch.arange(200.0)]))[0, 1]) < 0.25


def test_the_number_of_parts_with_each_token():
    texts = TokenSet.of([[4, 4, 5], [5], [9, 4, 9, 9, 9, 5]], 5, CPU)
    assert texts.lines_with(11).tolist() == [0, 0, 0, 0, 2, 3, 0, 0, 0, 1, 0]


def test_the_parts_of_some_of_the_texts():
    chosen = made().of_texts(torch.tensor([True, False, False, True]))
    assert parts(chosen.in_order(9)) == [[3, 4], [30, 31, 32, 33, 34]]
    assert len(made().some(4, seed=0)) == 4


def test_the_guesses_without_a_model_are_the_most_frequent_tokens():
    texts = TokenSet.of([[7, 8, 9], [7, 5, 9], [6, 8, 7]], 4, CPU)
    found = texts.most_frequent()
    assert found["unigram"] == [7] * 4
    assert found["sentence"] == [7, 8, 9, 7]
