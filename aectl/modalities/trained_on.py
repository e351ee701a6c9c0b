"""The data that a model was trained on, as inputs: without INPUT, other ones like them."""

import dataclasses

from aectl.data.layout import layout_of
from aectl.data.selection import Selection, of_options
from aectl.data.sources import Names, Source, SourceKind, path_digest
from aectl.data.storage.folders import find_inputs
from aectl.data.training_sources import split_up
from aectl.errors import DataError, UnknownInputError
from aectl.modalities.request import Request
from aectl.modalities.unlearnt import unlearnt
from aectl.models.model_card import ModelCard


def requested_selection(card: ModelCard, request: Request, names: Names) -> Selection:
    """The files of a folder that are read: those that the request asks for; if it asks for none and
    names no input, those that the model was trained on.
    """
    chosen = request.selection.usually(names.endings)
    as_trained = not request.words and chosen == Selection().usually(names.endings)
    return trained_selection(card, names) if as_trained else chosen


def trained_selection(card: ModelCard, names: Names) -> Selection:
    """The files of a folder that a model was trained on."""
    return of_options(card.options, names.endings)


def training_sources(card: ModelCard, names: Names) -> list[Source]:
    """The training sets of the data that a model was trained on.

    Raises UnknownInputError for data that does not exist, DataError for a list on stdin.
    """
    sources = [names.source(word) for word in card.trained_on]
    if any(source.kind is SourceKind.STDIN for source in sources):
        raise DataError("the model was trained on a list on stdin, which --pca and --probe lack")
    selection = trained_selection(card, names)
    layouts = [layout_of(one.word, selection) if one.is_folder else None for one in sources]
    learnt = split_up(sources, layouts, validation=False)
    return [dataclasses.replace(one.without_split, without=card.held_out) for one in learnt]


def sources_of(card: ModelCard, request: Request, names: Names) -> list[Source]:
    """The sources that a request names; if none, the data that the model was trained on.

    Raises UnknownInputError for a word that names nothing, and DataError where data is not there.
    """
    if request.words:
        sources = names.sources(request.words, request.stdin)
        if not request.unlearnt:
            return sources
        selections = requested_selection(card, request, names), trained_selection(card, names)
        return unlearnt(sources, card, request, names, selections)
    return _trained_on(card, request, names)


def _trained_on(card: ModelCard, request: Request, names: Names) -> list[Source]:
    """The data that a model was trained on, as sources.

    Datasets are named without their splits; of a folder with splits, one that was not trained on.
    Raises DataError where data is not there.
    """
    if not card.trained_on:
        raise DataError(
            "the model does not say what it was trained on; name an INPUT (eval: --dataset)"
        )
    sources = [_measured_on(word, card, request, names) for word in card.trained_on]
    there, known = sum(len(source.only) for source in sources), len(card.held_out)
    if 0 < there < known and all(source.is_folder for source in sources):
        request.warning(f"{known - there:,} of {known:,} files held out are no longer there")
    return sources


def _measured_on(word: str, card: ModelCard, request: Request, names: Names) -> Source:
    """The source of inputs like those that a model was trained on, if possible other ones."""
    try:
        source = names.source(word)
    except UnknownInputError:
        raise DataError(
            f"the model was trained on {word}, which is not found from here; name an INPUT (eval:"
            " --dataset)"
        ) from None
    if source.kind is SourceKind.STDIN:
        raise DataError("the model was trained on a list on stdin; name an INPUT (eval: --dataset)")
    if source.in_memory:
        return source.without_split
    selection = trained_selection(card, names)
    layout = layout_of(word, selection) if source.is_folder else None
    unseen = layout and (layout.test or layout.validation)
    if unseen:
        request.notice(f"measured on {unseen}")
        return Source(unseen, SourceKind.FOLDER)
    if request.unseen and (held_out := _held_out(source, card, selection)):
        request.notice(f"measured on what was held out of {word}: {len(held_out):,} files")
        return dataclasses.replace(source, only=held_out)
    because = _unknown(card) if request.unseen else ""
    request.warning(f"measured on {word}, the data that it was trained on{because}")
    return source


def _held_out(source: Source, card: ModelCard, selection: Selection) -> frozenset[str]:
    """The digests of the paths of the files of a source that were held out."""
    if not (card.held_out and source.is_folder):
        return frozenset()
    paths = (one.path for one in find_inputs(source.word, selection))
    return card.held_out.intersection(map(path_digest, paths))


def _unknown(card: ModelCard) -> str:
    """The reason why what was held out cannot be measured alone."""
    if card.held_out:
        return ": none of the files that were held out is there"
    held_out = card.options.get("validation")
    return "; which of it was held out is not known" if held_out else ""
