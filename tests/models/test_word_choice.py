"""The rules by which words are chosen, against a plain calculation for each text."""

import math
from collections import Counter

import torch

from aectl.config.shapes import PAD
from aectl.models.word_choice import RandomWords, RarestWords, Words

TEXTS = [[[5], [6, 7], [8], [5]], [[9], [5]], [[6, 7], [6], [10, 11, 12], [9], [8], [13]]]
"""The tokens of the words of texts."""


def words(texts=TEXTS, count=2):
    rows = [[token for word in text for token in word] for text in texts]
    length, most = max(map(len, rows)), max(map(len, texts))
    tokens = torch.tensor([row + [PAD] * (length - len(row)) for row in rows])
    firsts = torch.zeros(len(texts), most, dtype=torch.long)
    of_token = torch.zeros(len(texts), length, dtype=torch.long)
    for row, text in enumerate(texts):
        of_token[row, len(rows[row]) :] = len(text) - 1  # padding counts to the last word
        place = 0
        for number, word in enumerate(text):
            firsts[row, number] = place
            of_token[row, place : place + len(word)] = number
            place += len(word)
    counts = torch.tensor([len(text) for text in texts])
    there = torch.arange(most) < counts[:, None]
    return Words(tokens, firsts, there, of_token, counts.clamp(max=count), count)


def kept(choice, words, draws=1):
    return [row.nonzero().flatten().tolist() for row in choice(words, draws).kept]


def test_the_words_of_the_highest_inverse_document_frequency_are_kept():
    choice = RarestWords(20)
    lines_with = torch.zeros(20)
    for text in TEXTS:
        for token in {token for word in text for token in word}:
            lines_with[token] += 1
    choice.learn(lines_with, len(TEXTS))

    def idf(word):
        return sum(math.log(len(TEXTS) / lines_with[token].item()) for token in word)

    wanted = []
    for text in TEXTS:
        best = sorted(range(len(text)), key=lambda word, text=text: -idf(text[word]))
        wanted.append(sorted(best[:2]))
    assert kept(choice.eval(), words()) == wanted == [[0, 1], [0, 1], [2, 5]]


def test_random_words_are_each_kept_as_often_as_the_others():
    torch.manual_seed(0)
    found = kept(RandomWords().train(), words(TEXTS[2:]), 3000)
    often = Counter(word for text in found for word in text)
    assert len(often) == 6
    assert max(abs(n / 3000 - 1 / 3) for n in often.values()) < 5 * math.sqrt(2 / 9 / 3000)


def test_the_random_words_of_a_text_are_the_same_at_each_inference_and_others_of_other_texts():
    choice = RandomWords().eval()
    together = kept(choice, words())
    assert together == [kept(choice, words([text]))[0] for text in TEXTS]
    many = [[[3 + (5 * text + 7 * word) % 97] for word in range(10)] for text in range(40)]
    often = Counter(word for text in kept(choice, words(many)) for word in text)
    assert sorted(often) == list(range(10))
