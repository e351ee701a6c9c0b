"""`aectl detect` on images, text and vectors, and its promise."""

import csv
import json
from pathlib import Path

import numpy as np
import polars
import pytest
import torch
from conftest import LINES, MNIST
from scipy.stats import betabinom, binom, gmean, kstest
from sklearn.datasets import load_breast_cancer

import aectl as package
from aectl.errors import ConfigError
from aectl.inference import error_maps
from aectl.inference.conformal import NormalScores

SCORES = ("error", "mahalanobis", "neighbours", "cosine", "fisher")
OF_IMAGES = ("region", "unusual-region", "ssim")
RATES = (0.01, 0.05, 0.1)


def rows_of(text):
    return list(csv.DictReader(text.splitlines()))


def column(rows, name):
    return np.array([float(row[name]) for row in rows])


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A model of a table, learnt from some of its benign rows, and files of others."""
    folder = tmp_path_factory.mktemp("table")
    whole = load_breast_cancer()
    benign = np.random.default_rng(0).permutation(whole.data[whole.target == 1])
    parts = {"learnt": benign[:100], "normal": benign[100:], "malignant": whole.data[:19]}
    for name, rows in parts.items():
        np.save(folder / f"{name}.npy", rows.astype(np.float32))
    package.train(
        folder / "model", dataset=str(folder / "learnt.npy"), scale="standard", hidden=[6],
        epochs=30,
    )  # fmt: skip
    return folder


def test_a_table_has_scores_p_values_and_verdicts(aectl, dense, scans, tmp_path):
    how = ("--normal", "digits:test", "--score", "error")
    done = aectl("detect", dense, scans / "000.png", *how, "--alarm-rate", 0.05)
    assert done.status == 0
    (row,) = rows_of(done.out)
    assert list(row) == ["path", "score", "p_value", "anomaly"]
    normal = rows_of(aectl("detect", dense, "digits:test", *how).out)
    assert list(normal[0]) == ["path", "label", "score", "p_value", "anomaly"]
    measured = aectl("eval", dense, "--dataset", "digits:test", "--per-image", "each.csv")
    assert measured.status == 0
    errors = rows_of((tmp_path / "each.csv").read_text())
    np.testing.assert_allclose(column(normal, "score"), column(errors, "mse"), rtol=1e-5)
    scores = column(normal, "score")
    by_hand = [(1 + (scores >= score).sum()) / 361 for score in scores]
    assert column(normal, "p_value").tolist() == by_hand
    assert [row["anomaly"] for row in normal] == ["yes" if p <= 0.01 else "no" for p in by_hand]
    assert row["score"] == normal[0]["score"]


@pytest.mark.parametrize(
    ("score", "maps"),
    [("region", error_maps.squared_errors), ("ssim", error_maps.dissimilarities)],
)
def test_images_are_scored_by_their_worst_regions_at_three_scales(aectl, dense, score, maps):
    (made,) = package.reconstruct(dense, "digits:test", count=20, batch_size=20)
    originals = torch.from_numpy(made.originals / np.float32(255))
    worst = error_maps.worst_regions(maps(originals, torch.from_numpy(made.reconstruction)))
    done = aectl("detect", dense, "digits:test", "--normal", "digits:test", "--score", score)
    found = column(rows_of(done.out), "score")[:20]
    np.testing.assert_allclose(found, gmean(worst, axis=1), rtol=1e-3)


def test_codes_with_their_errors_are_compared_with_those_of_normal_vectors(aectl, table):
    model, new, learnt = table / "model", table / "malignant.npy", table / "learnt.npy"
    how = ("--normal", table / "normal.npy", "--fit-to", learnt, "--score", "code-and-error")
    found = column(rows_of(aectl("detect", model, new, *how).out), "score")
    factor = package.load(model).scaling.factor.numpy()
    both = []
    for vectors in (learnt, new):
        (encoded,) = package.encode(model, str(vectors))
        (made,) = package.reconstruct(model, str(vectors))
        both.append(np.hstack([encoded.code, (made.originals - made.reconstruction) * factor]))
    deviations = both[0].std(0)
    deviations[deviations == 0] = 1
    pairs = np.linalg.norm((both[1][:, None] - both[0]) / deviations, axis=2)
    np.testing.assert_allclose(found, np.sort(pairs, 1)[:, :2].mean(1), rtol=1e-3)


def test_vectors_and_text_have_no_regions(aectl, table):
    for score in OF_IMAGES:
        done = aectl("detect", table / "model", "--normal", table / "normal.npy", "--score", score)
        assert done.status == 2
        assert f"--score {score} needs reconstructed images, which" in done.err


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "jsonl", "parquet", "npz"])
def test_every_format_holds_the_same_rows(aectl, dense, tmp_path, ending):
    words = ("detect", dense, "digits:test", "--normal", "digits:test")
    rows = rows_of(aectl(*words).out)
    assert aectl(*words, "--out", f"t.{ending}").status == 0
    if ending == "npz":
        found = np.load(tmp_path / "t.npz")
    elif ending == "jsonl":
        found = polars.read_ndjson(tmp_path / "t.jsonl")
    else:
        read = polars.read_parquet if ending == "parquet" else polars.read_csv
        found = read(tmp_path / f"t.{ending}")
    np.testing.assert_array_equal(found["p_value"], column(rows, "p_value"))
    np.testing.assert_array_equal(np.float32(found["score"]), np.float32(column(rows, "score")))
    assert list(found["anomaly"]) == [row["anomaly"] for row in rows]


def test_an_interrupted_table_resumes_to_the_same_bytes(aectl, dense, scans, tmp_path):
    words = ("detect", dense, scans, "--normal", "digits:test", "--batch-size", 32)
    assert aectl(*words, "--out", "whole.csv").status == 0
    (tmp_path / "no.png").write_bytes(b"no picture")
    stopped = aectl(*words[:2], scans, "no.png", *words[3:], "--strict", "--out", "t.csv")
    assert "--resume continues" in stopped.err
    bad = aectl(*words, "--out", "t.csv", "--resume", "--alarm-rate", 0.1)
    assert "was started with alarm_rate 0.01, not 0.1" in bad.err
    other = aectl(*words, "--normal", scans, "--out", "t.csv", "--resume")
    assert "was started with calibration " in other.err
    resumed = aectl(*words[:2], scans, scans / "001.png", *words[3:], "--out", "t.csv", "--resume")
    assert resumed.status == 0
    again = aectl(*words, "--out", "whole.csv", "--resume")
    assert (
        again.err == "whole.csv is complete; there is nothing to do (--overwrite writes it again)\n"
    )
    whole = (tmp_path / "whole.csv").read_text()
    assert (tmp_path / "t.csv").read_text().startswith(whole)


def test_anomalies_are_found_and_a_script_can_ask_for_a_status(aectl, table):
    words = ("--normal", table / "normal.npy", "--alarm-rate", 0.05)
    for score in SCORES:
        done = aectl("detect", table / "model", table / "malignant.npy", "--score", score, *words)
        assert done.status == 0
        found = [row["anomaly"] == "yes" for row in rows_of(done.out)]
        assert np.mean(found) > 0.5 or score == "cosine", "these codes differ in length alone"
    assert "of 19 vectors are anomalies" in done.err
    failed = aectl("detect", table / "model", table / "malignant.npy", *words, "--fail-on-anomaly")
    assert failed.status == 3
    calm = aectl("detect", table / "model", table / "normal.npy", "--normal", table / "normal.npy",
                 "--alarm-rate", 0.01, "--fail-on-anomaly")  # fmt: skip
    assert calm.status == (3 if "yes" in calm.out else 0)
    assert aectl("detect", table / "model", table / "normal.npy", *words, "--fail-on-anomaly",
                 "--out", "t.csv", "--resume").status == 2  # fmt: skip


@pytest.mark.parametrize("score", [*SCORES, *OF_IMAGES])
def test_scores_depend_neither_on_the_order_nor_on_the_size_of_batches(aectl, dense, scans, score):
    files = [scans / f"{number:03}.png" for number in range(100)]
    words = ("--normal", "digits:test", "--score", score, "--alarm-rate", 0.05)
    first = rows_of(aectl("detect", dense, *files, *words).out)
    second = rows_of(aectl("detect", dense, *files[::-1], *words).out)
    assert first == second[::-1]
    third = rows_of(aectl("detect", dense, *files, *words, "--batch-size", 7).out)
    np.testing.assert_allclose(column(third, "score"), column(first, "score"), rtol=1e-3)


@pytest.mark.parametrize("score", ["error", "mahalanobis"])
def test_text_that_is_unlike_the_normal_has_a_higher_cross_entropy(
    aectl, trained, corpus, tmp_path, score
):
    model = trained(
        "--model", "text-autoencoder", "--dataset", str(corpus), "--epochs", "30",
        "--hidden", "32,16", "--batch-size", "10",
    )  # fmt: skip
    (tmp_path / "normal.txt").write_text("\n".join(LINES[::2]) + "\n")
    (tmp_path / "new.txt").write_text("\n".join([*LINES[1::2], "mat the . sat cat", "it it it it"]))
    words = ("--normal", "normal.txt", "--alarm-rate", 0.1, "--score", score)
    rows = rows_of(aectl("detect", model, "new.txt", *words).out)
    scores = column(rows, "score")
    assert min(scores[-2:]) > np.quantile(scores[:-2], 0.9)
    if score == "error":
        report = json.loads(aectl("eval", model, "--dataset", "normal.txt", "--json").out)[0]
        normal = column(rows_of(aectl("detect", model, "normal.txt", *words).out), "score")
        lengths = [len(line.split()) for line in LINES[::2]]
        assert np.average(normal) == pytest.approx(report["cross_entropy"], rel=0.2)
        assert len(normal) == len(lengths)


def texture(folder, count):
    """Crops of smoothed noise, as files."""
    from PIL import Image
    from scipy.ndimage import gaussian_filter

    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        field = gaussian_filter(random.normal(size=(12, 12)), 1)[2:-2, 2:-2]
        pixels = np.clip(128 + 200 * field, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def scores_of(found, rows=slice(None)):
    """The scores of some inputs; of the few that have equal ones, one."""
    scores = np.concatenate([result.score for result in found])[rows]
    different = np.unique(scores)
    assert len(different) > 0.99 * len(scores)
    return different


@pytest.fixture(scope="module", params=["digits of one class", "a texture", "a table"])
def pool(request, tmp_path_factory, trained, table):
    """The scores of normal inputs, by the public function."""
    if request.param == "a table":
        found = package.detect(
            table / "model", str(table / "normal.npy"), normal=str(table / "normal.npy"),
            score="error",
        )  # fmt: skip
        return scores_of(found)
    model = trained("--epochs", "20")
    if request.param == "a texture":
        images = str(texture(tmp_path_factory.mktemp("textures") / "noise", 400))
        found = package.detect(model, images, normal="digits:test", score="mahalanobis")
        return scores_of(found)
    if not (MNIST / "MNIST").is_dir():
        pytest.skip("MNIST is not here")
    found = list(package.detect(
        model, "mnist:test", normal="digits:test", score="neighbours", data_dir=str(MNIST)
    ))  # fmt: skip
    labels = np.array([label for result in found for label in result.labels])
    return scores_of(found, labels == "3")


def splits(pool, times=200):
    """Halves of the scores, at random: those that calibrate, and new ones."""
    random = np.random.default_rng(0)
    for _ in range(times):
        order = random.permutation(pool)
        yield NormalScores.of(order[: len(pool) // 2]), order[len(pool) // 2 :]


@pytest.mark.parametrize("rate", RATES)
def test_of_normal_inputs_the_stated_fraction_is_flagged(pool, rate):
    """In each split, the number has the beta-binomial distribution; of the first new inputs of all
    splits, which are independent, it has the binomial one."""
    flagged = np.array([normal.p_values(new) <= rate for normal, new in splits(pool)])
    count, new = len(pool) // 2, flagged.shape[1]
    least = int(rate * (count + 1) + 1e-9)
    assert least >= 1
    of_split = betabinom(new, least, count + 1 - least)
    assert all(of_split.ppf(1e-6) <= one <= of_split.ppf(1 - 1e-6) for one in flagged.sum(1))
    error = of_split.std() / np.sqrt(len(flagged))
    assert flagged.sum(1).mean() == pytest.approx(of_split.mean(), abs=4 * error)
    assert of_split.mean() / new <= rate
    low, high = binom(len(flagged), least / (count + 1)).ppf([0.0005, 0.9995])
    assert low <= flagged[:, 0].sum() <= high


def test_p_values_of_normal_inputs_are_uniform(pool):
    """By Kolmogorov and Smirnov, after a p-value is spread over its step of 1 / (n + 1)."""
    random, found = np.random.default_rng(1), []
    for normal, new in splits(pool):
        found.append(normal.p_values(new[:1])[0] - random.uniform() * normal.least_rate)
    assert kstest(found, "uniform").pvalue > 0.01


@pytest.mark.parametrize("score", SCORES)
def test_the_command_flags_the_stated_fraction_of_new_normal_inputs(aectl, table, tmp_path, score):
    normal = np.load(table / "normal.npy")
    flagged, count = 0, len(normal) - 57
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(len(normal))
        np.save(tmp_path / "good.npy", normal[order[:count]])
        np.save(tmp_path / "new.npy", normal[order[count:]])
        done = aectl("detect", table / "model", "new.npy", "--normal", "good.npy",
                     "--score", score, "--alarm-rate", 0.1)  # fmt: skip
        flagged += sum(row["anomaly"] == "yes" for row in rows_of(done.out))
    calibrating = count if score == "error" else count - count // 2
    least = int(0.1 * (calibrating + 1))
    of_split = betabinom(57, least, calibrating + 1 - least)
    assert flagged == pytest.approx(4 * of_split.mean(), abs=4 * 2 * of_split.std())


@pytest.mark.parametrize("score", ["error", "mahalanobis", "neighbours", "fisher"])
@pytest.mark.parametrize("values", [slice(2, 3), slice(None)], ids=["error", "output"])
def test_an_input_beyond_all_numbers_is_the_first_anomaly(aectl, table, tmp_path, score, values):
    """Whose squared error, or whose code and reconstruction, is more than a float32 holds."""
    normal = np.load(table / "normal.npy")
    far = normal[:3].copy()
    far[1, values] = 1e25 if values.start else 3.4e38
    (tmp_path / "test" / "good").mkdir(parents=True)
    (tmp_path / "test" / "odd").mkdir()
    np.save(tmp_path / "test" / "good" / "a.npy", far[[0, 2]])
    np.save(tmp_path / "test" / "odd" / "b.npy", far[[1]])
    how = ("--normal", table / "normal.npy", "--score", score, "--alarm-rate", 0.05)
    done = aectl("detect", table / "model", "test", *how, "--fail-on-anomaly")
    assert done.status == 3
    found = rows_of(done.out)
    calibrating = len(normal) if score == "error" else len(normal) - len(normal) // 2
    assert float(found[2]["p_value"]) == pytest.approx(1 / (calibrating + 1))
    assert np.argmax(column(found, "score")) == 2
    assert [row["anomaly"] for row in found][2] == "yes"
    measured = aectl("eval", table / "model", "--dataset", "test", "--detect", *how, "--json")
    if not values.start:
        assert "b.npy:0: its values are too large" in measured.err  # they have no mean error
        return
    (metrics,) = json.loads(measured.out)
    assert (metrics["auroc"], metrics["detected"]) == (1, 1)


def test_a_score_is_fitted_to_other_inputs_than_those_that_calibrate_it(aectl, table, tmp_path):
    words = ("detect", table / "model", table / "malignant.npy", "--score", "neighbours")
    of_both = ("--normal", table / "normal.npy", "--fit-to", table / "learnt.npy")
    found = rows_of(aectl(*words, *of_both).out)
    codes = {}
    for name in ("learnt", "malignant", "normal"):
        assert aectl("encode", table / "model", table / f"{name}.npy", "--out", f"{name}.npy")
        codes[name] = np.load(f"{name}.npy").astype(np.float64)
    near = {
        name: np.sort(np.linalg.norm(codes[name][:, None] - codes["learnt"], axis=2), 1)[:, :2]
        for name in ("malignant", "normal")
    }
    scores = {name: one.mean(1) for name, one in near.items()}
    np.testing.assert_allclose(column(found, "score"), scores["malignant"], rtol=1e-5)
    wanted = [
        (1 + (scores["normal"] >= one).sum()) / (len(scores["normal"]) + 1)
        for one in scores["malignant"]
    ]
    np.testing.assert_allclose(column(found, "p_value"), wanted)
    calibrated = aectl("detect", table / "model", "--score", "neighbours", "--out", "m.safetensors",
                       "--calibrate", table / "normal.npy", *of_both[2:])  # fmt: skip
    assert calibrated.status == 0
    kept = rows_of(aectl("detect", "m.safetensors", table / "malignant.npy").out)
    assert column(kept, "p_value").tolist() == column(found, "p_value").tolist()
    refused = aectl("detect", "m.safetensors", table / "malignant.npy", *of_both[2:])
    assert "--fit-to needs --normal" in refused.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), " is not calibrated: name normal inputs that it did not learn from with --normal"),
        (("--normal", "empty"), "there are no normal inputs to calibrate on"),
        (("--normal", "no/where"), "no dataset, file or folder 'no/where'"),
        (("--normal", "digits:train"), "the model learnt from all normal inputs"),
        (("--normal", "few", "--score", "error"), "--alarm-rate 0.01 needs 99 normal inputs to"
         " calibrate on, and there are 9; these support rates from 0.1\n"),
        (("--normal", "few", "--score", "neighbours"), "are 5; these support rates from 0.167"
         "; 4 others fit the score, unless --fit-to names some"),
        (("--normal", "few", "--alarm-rate", "1e-30"), "--alarm-rate must be at least 1e-09"),
        (("--normal", "few", "--alarm-rate", "1e-320"), "--alarm-rate must be at least 1e-09"),
        (("--normal", "few", "--alarm-rate", "1"), "--alarm-rate must lie between 0 and 1"),
        (("--normal", "few", "--score", "eror"), "did you mean 'error'?"),
        (("--normal", "-", "-"), "only one of INPUT, --normal and --fit-to can be -"),
        (("--normal", "few", "--fit-to", "few", "--score", "error"), "--fit-to has no effect"),
        (("--normal", "few", "--score", "cosine", "--fit-to", "./few"),
         "--fit-to names no inputs but those that --normal names"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_what_cannot_keep_the_promise_is_refused_in_a_line(
    aectl, dense, scans, tmp_path, words, said
):
    (tmp_path / "empty").mkdir()
    (tmp_path / "few").mkdir()
    for number in range(9):
        (tmp_path / "few" / f"{number}.png").write_bytes((scans / f"00{number}.png").read_bytes())
    done = aectl("detect", dense, *words, "--out", "t.csv")
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "t.csv").exists()


def test_normal_inputs_beside_a_folder_of_good_ones_are_doubted(aectl, dense, scans, tmp_path):
    for folder, numbers in (("good", range(40)), ("crack", range(40, 45))):
        (tmp_path / "tiles" / folder).mkdir(parents=True)
        for number in numbers:
            name = f"{number:03}.png"
            (tmp_path / "tiles" / folder / name).write_bytes((scans / name).read_bytes())
    words = ("detect", dense, scans / "000.png", "--alarm-rate", 0.05, "--normal")
    told = "some normal inputs are in a folder good, others in crack: if those are anomalies, name"
    assert told in aectl(*words, "tiles").err
    alone = aectl(*words, "tiles/good")
    assert told not in alone.err
    assert "label" not in rows_of(alone.out)[0]


def test_a_model_whose_code_is_a_text_has_no_distances(aectl, corpus):
    model = Path(__file__).parents[1] / "formats" / "3-shorter-text.safetensors"
    done = aectl("detect", model, "--normal", corpus, "--score", "mahalanobis")
    assert done.status == 2
    assert "--score mahalanobis needs codes that are vectors, which" in done.err
    assert aectl("detect", model, corpus, "--normal", corpus).status == 0


def test_normal_inputs_of_another_kind_are_called_what_they_are(aectl, dense, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("a line")
    done = aectl("detect", dense, "--normal", "texts")
    assert done.status == 2
    assert "there are no normal inputs" in done.err
    assert "texts holds text, and the model takes images" in done.err


def few_of(scans, tmp_path):
    """A folder of nine images, and a link to it."""
    (tmp_path / "few").mkdir()
    (tmp_path / "link").symlink_to("few")
    for number in range(9):
        (tmp_path / "few" / f"{number}.png").write_bytes((scans / f"00{number}.png").read_bytes())


@pytest.mark.parametrize("score", ["cosine", "unusual-region"])
@pytest.mark.parametrize("word", ["{}/few", "link", "few/../link/../few/"])
def test_inputs_that_calibrate_do_not_fit_the_score_however_they_are_named(
    aectl, dense, scans, tmp_path, score, word
):
    few_of(scans, tmp_path)
    words = ("--normal", "few", "--score", score, "--alarm-rate", 0.1)
    done = aectl(
        "detect", dense, scans / "000.png", *words, "--fit-to", word.format(tmp_path), "--absolute"
    )
    assert (done.status, done.out) == (2, "")
    assert "--fit-to names no inputs but those that --normal names" in done.err


def test_rows_of_two_tables_are_told_apart_though_they_have_the_same_names(aectl, table, tmp_path):
    for name in ("learnt", "normal"):
        rows = np.load(table / f"{name}.npy")
        columns = {"id": range(len(rows))}
        columns |= {f"x{place}": one for place, one in enumerate(rows.T)}
        polars.DataFrame(columns).write_csv(tmp_path / f"{name}.csv")
    found = []
    for words in (
        ("--normal", "normal.csv", "--fit-to", "learnt.csv", "--id-column", "id"),
        ("--normal", table / "normal.npy", "--fit-to", table / "learnt.npy"),
    ):
        how = ("--score", "neighbours", "--out", "m.safetensors", "--overwrite")
        assert aectl("detect", table / "model", "--calibrate", *words[1:], *how).status == 0
        found.append(json.loads(aectl("info", "m.safetensors", "--json").out)["calibration"])
    assert [one["fitted_to"] for one in found] == [100, 100]
    assert found[0]["n"] == found[1]["n"]


@pytest.mark.parametrize("word", ["few/", "link", "few/3.png", "{}/few", "-"])
def test_normal_images_that_are_named_twice_count_once(aectl, dense, scans, tmp_path, word):
    few_of(scans, tmp_path)
    listed = b"few/1.png\n./few/1.png\nlink/2.png\n" if word == "-" else b""
    done = aectl("detect", dense, scans / "000.png", "--normal", "few", "--alarm-rate", 0.1,
                 "--score", "error", "--normal", word.format(tmp_path), stdin=listed)  # fmt: skip
    assert done.status == 0
    assert "9 normal images)" in done.err
    count = {"-": 3, "few/3.png": 1}.get(word, 9)
    assert f"normal inputs named twice, read once: {count}\n" in done.err


@pytest.mark.parametrize("word", ["digits:test", "digits", "digits:test/3"])
def test_a_dataset_that_is_named_twice_counts_once(aectl, dense, scans, word):
    words = ("--score", "error", "--normal", "digits:test", "--normal", word)
    assert "(alarm rate 0.01, 360 normal images)" in aectl("detect", dense, scans, *words).err


def test_a_p_value_of_the_rate_itself_is_an_anomaly(aectl, dense, scans, tmp_path):
    """Nine normal inputs support 0.1, and only a score above all of theirs has that p-value."""
    from PIL import Image

    for number in range(9):
        name = f"{number:03}.png"
        (tmp_path / "few").mkdir(exist_ok=True)
        (tmp_path / "few" / name).write_bytes((scans / name).read_bytes())
    Image.fromarray(np.eye(8, dtype=np.uint8)[::-1] * 255).save(tmp_path / "x.png")
    how = ("--score", "error", "--alarm-rate", 0.1)
    done = aectl("detect", dense, "x.png", "few", "--normal", "few", *how)
    found = [(row["p_value"], row["anomaly"]) for row in rows_of(done.out)]
    assert found[0] == ("0.1", "yes")
    assert {verdict for _, verdict in found[1:]} == {"no"}


@pytest.mark.parametrize("given", [{"normal": []}, {"normal": "digits:test", "fit_to": ()}])
def test_a_list_without_normal_inputs_is_refused(dense, given):
    name = [*given][-1]
    with pytest.raises(ConfigError, match=f"^{name} is an empty list, which names no inputs$"):
        package.detect(dense, "digits:test", score="cosine", **given)
    with pytest.raises(ConfigError, match=f"^{name} is an empty list"):
        package.evaluate(dense, "digits:test", detect=True, score="cosine", **given)


def test_a_classifier_is_refused(aectl, classifier):
    done = aectl("detect", classifier, "--normal", "digits:test")
    assert done.status == 2
    assert "detect needs an autoencoder; " in done.err
    assert "is a classifier" in done.err


def test_anomalies_among_the_normal_inputs_and_unreadable_ones_are_told(
    aectl, dense, scans, tmp_path
):
    from PIL import Image

    (tmp_path / "good").mkdir()
    for number in range(100):
        name = f"{number:03}.png"
        (tmp_path / "good" / name).write_bytes((scans / name).read_bytes())
    Image.fromarray(np.eye(8, dtype=np.uint8)[::-1] * 255).save(tmp_path / "good" / "x.png")
    (tmp_path / "good" / "y.png").write_bytes(b"no picture")
    words = ("--normal", "good", "--score", "error", "--alarm-rate", 0.05)
    done = aectl("detect", dense, scans / "000.png", *words)
    assert done.status == 0, "the inputs themselves could be read"
    assert "warning: left out of the normal inputs: good/y.png: " in done.err
    assert (
        "warning: 1 of 101 normal inputs have scores far above the others: good/x.png" in done.err
    )


@pytest.mark.parametrize("score", [*SCORES, *OF_IMAGES, "places"])
@pytest.mark.parametrize("kind", ["conv-autoencoder", "patch-autoencoder"])
def test_codes_of_maps_and_pooled_features_have_distances(aectl, trained, kind, score):
    options = {
        "conv-autoencoder": ("--hidden", "4,3"),
        "patch-autoencoder": ("--hidden", "8", "--patch-size", "3"),
    }
    model = trained("--model", kind, "--epochs", "1", *options[kind])
    done = aectl("detect", model, "digits:test/0", "--normal", "digits:test", "--score", score)
    assert done.status == 0
    assert float(rows_of(done.out)[0]["score"]) > (-3 if score == "unusual-region" else 0)
