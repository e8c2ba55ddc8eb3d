"""Published networks: the same numbers as transformers', read and written, and errors that name what is wrong."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from skrep import MaskedLMTransformer
from skrep.backbones import Transformer
from skrep.text import SubwordTokenizer
from tests.engine.test_training import weights
from tests.language.test_masked_lm import states_by_hand

pytest.importorskip("safetensors")
tokenizers = pytest.importorskip("tokenizers")

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:FutureWarning")

WORDS = ["the", "cat", "sat", "dog", "ran", "on", "mat", "##s", "##ning", "caf", "##e", ".", ",", "\u2028", "a"]
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *(f"w{i}" for i in range(30))]
TEXTS = ["The cats sat on a mat.", "the DOG ran, the cat sat", "", "Running café", "unheardof cat", "w1 w2 w3 w4 w5 w6"]
PAIRS = pd.DataFrame({"a": TEXTS, "b": [*TEXTS[3:], *TEXTS[:3]]})
LONG = " ".join(f"w{i * 7 % 30} the cats." if i % 5 else "sat on" for i in range(20))
KINDS = ("bert", "roberta", "distilbert")
LENGTH = 24


def wordpiece_json(lowercase=True):
    made = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({piece: i for i, piece in enumerate(PIECES)}, unk_token="[UNK]")
    )
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=lowercase)
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.add_special_tokens(PIECES[:5])
    made.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def bytes_json():
    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=names,
        show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )
    made.train_from_iterator([*TEXTS, LONG], trainer)
    made.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return made


def publish(kind, folder, with_head=True):
    """A random network, as transformers writes it, with a tokenizer; returns that package's own."""
    transformers = pytest.importorskip("transformers")
    folder.mkdir(exist_ok=True)
    made = bytes_json() if kind == "roberta" else wordpiece_json()
    made.save(str(folder / "tokenizer.json"))
    sizes = {"vocab_size": made.get_vocab_size(), "max_position_embeddings": LENGTH + 2 * (kind == "roberta")}
    if kind == "distilbert":
        sizes |= {"dim": 8, "n_layers": 3, "n_heads": 2, "hidden_dim": 12}
    else:
        sizes |= {"hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 12}
    if kind == "roberta":
        sizes |= {"type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    name = {"bert": "Bert", "roberta": "Roberta", "distilbert": "DistilBert"}[kind]
    config = getattr(transformers, f"{name}Config")(**sizes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = getattr(transformers, name + ("ForMaskedLM" if with_head else "Model"))(config)
        for parameter in module.parameters():  # biases and gains too
            torch.nn.init.normal_(parameter, std=0.3)
    module.eval().save_pretrained(folder)
    return module, made


@pytest.fixture(scope="module", params=KINDS)
def published(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published") / request.param
    return request.param, folder, *publish(request.param, folder)


def their_states(module, encoding):
    """(n_layers + 1, n_tokens, width)."""
    inputs = {"input_ids": torch.tensor([encoding.ids]), "attention_mask": torch.ones(1, len(encoding.ids))}
    if "token_type_embeddings" in str(module) and max(encoding.type_ids, default=0):
        inputs["token_type_ids"] = torch.tensor([encoding.type_ids])
    with torch.no_grad():
        return torch.cat(module(**inputs, output_hidden_states=True).hidden_states)


def pooled(states, pooling):
    how = {"mean": lambda s: s.mean(1), "cls": lambda s: s[:, 0], "max": lambda s: s.max(1).values}[pooling]
    return how(states).flatten().numpy()


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_hidden_states_of_texts(published, pooling):
    _, folder, module, made = published
    bert = MaskedLMTransformer(init=folder, pooling=pooling, layer="all").fit(TEXTS)
    assert bert.n_layers_ == 3
    assert bert.history_ == []
    expected = [pooled(their_states(module, made.encode(text)), pooling) for text in TEXTS]
    np.testing.assert_allclose(bert.transform(TEXTS), expected, atol=1e-5)
    bert.set_params(lowercase=False, strip_accents="ascii")  # the published tokenizer knows better
    np.testing.assert_allclose(bert.transform(TEXTS), expected, atol=1e-5)
    for text in TEXTS:
        assert bert.tokenize(text) == made.encode(text).tokens


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_hidden_states_of_pairs(published, pooling):
    kind, folder, module, made = published
    pairs = PAIRS if kind != "roberta" else PAIRS.map(lambda text: text[:8])  # bytes are many
    bert = MaskedLMTransformer(init=str(folder), pooling=pooling, layer="all").fit(pairs)
    encodings = [made.encode(first, second) for first, second in pairs.to_numpy()]
    assert max(len(encoding.ids) for encoding in encodings) <= LENGTH
    expected = [pooled(their_states(module, encoding), pooling) for encoding in encodings]
    np.testing.assert_allclose(bert.transform(pairs), expected, atol=1e-5)


def test_hidden_states_of_tokens(published):
    _, folder, module, made = published
    bert = MaskedLMTransformer(init=folder).fit(TEXTS)
    for text in TEXTS:
        tokens = [bert.vocabulary_.index(token) for token in bert.tokenize(text)]
        ours = states_by_hand(bert, tokens, [0] * len(tokens))
        np.testing.assert_allclose(ours, their_states(module, made.encode(text)), atol=1e-5)


@pytest.mark.parametrize("max_length", [None, 12])
def test_long_documents_are_windows(published, max_length):
    _, folder, module, made = published
    bert = MaskedLMTransformer(init=folder, max_length=max_length, layer="all").fit(TEXTS)
    tokens = [bert.vocabulary_.index(token) for token in made.encode(LONG, add_special_tokens=False).tokens]
    room = (max_length or LENGTH) - 2
    windows = []
    while tokens:
        stops = [
            n for n in range(room // 2 + 1, room + 1) if n <= len(tokens) and bert.vocabulary_[tokens[n - 1]] == "."
        ]
        n = room if len(tokens) <= room or not stops else stops[-1]
        windows.append(tokens[:n])
        tokens = tokens[n:]
    assert len(windows) > 3
    begin, end = (bert.vocabulary_.index(token) for token in bert.tokenize(""))
    states = []
    with torch.no_grad():
        for window in windows:
            ids = torch.tensor([[begin, *window, end]])
            states.append(torch.cat(module(ids, output_hidden_states=True).hidden_states))
    expected = torch.cat(states, 1).mean(1).flatten()
    np.testing.assert_allclose(bert.transform([LONG])[0], expected, atol=1e-5)


def test_guesses(published):
    kind, folder, module, made = published
    bert = MaskedLMTransformer(init=folder, random_state=0).fit(TEXTS)
    mask = "<mask>" if kind == "roberta" else "[MASK]"
    for text in ("the [MASK] sat", "[MASK]", "The[MASK] on [MASK]."[3 if kind == "roberta" else 0 :]):
        if kind == "roberta":  # a space before the mask would be a token of its own
            text = text.replace(" [MASK]", "[MASK]")
        encoding = made.encode(text.replace("[MASK]", mask))
        with torch.no_grad():
            logits = module(torch.tensor([encoding.ids])).logits[0]
        at = [i for i, token in enumerate(encoding.tokens) if token == mask]
        found = bert.fill_mask(text, n_guesses=10**6)
        assert len(found) == len(at)
        for place, guesses in zip(at, found, strict=True):
            ours = np.array([dict(guesses)[piece] for piece in bert.vocabulary_])
            np.testing.assert_allclose(ours, logits[place].softmax(0), atol=1e-5)
    assert np.isfinite(bert.score(TEXTS))


@pytest.mark.parametrize("kind", KINDS)
def test_networks_without_what_guesses(kind, tmp_path):
    module, made = publish(kind, tmp_path, with_head=False)
    bert = MaskedLMTransformer(init=tmp_path, layer="all").fit(TEXTS)
    expected = [pooled(their_states(module, made.encode(text)), "mean") for text in TEXTS]
    np.testing.assert_allclose(bert.transform(TEXTS), expected, atol=1e-5)
    for call in (lambda: bert.score(TEXTS), lambda: bert.fill_mask("the [MASK]")):
        with pytest.raises(ValueError, match=r"published.*max_epochs.*budget_minutes"):
            call()
    trained = MaskedLMTransformer(init=tmp_path, max_epochs=1, random_state=0).fit(TEXTS)
    assert np.isfinite(trained.score(TEXTS))


@pytest.mark.parametrize("lowercase", [True, False, None])
def test_vocabulary_alone(lowercase, tmp_path):
    module, _ = publish("bert", tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    if lowercase is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lowercase}))
    made = wordpiece_json(lowercase is not False)
    bert = MaskedLMTransformer(init=tmp_path, layer="all").fit(TEXTS)
    assert bert.tokenize("The cats") == ["[CLS]", "[UNK]" if lowercase is False else "the", "cat", "##s", "[SEP]"]
    expected = [pooled(their_states(module, made.encode(text)), "mean") for text in TEXTS]
    np.testing.assert_allclose(bert.transform(TEXTS), expected, atol=1e-5)


def test_a_tokenizer_that_cuts_and_pads_does_neither(tmp_path):
    module, made = publish("bert", tmp_path)
    expected = [pooled(their_states(module, made.encode(text)), "mean") for text in TEXTS]
    made.enable_truncation(3)
    made.enable_padding(length=20)
    made.save(str(tmp_path / "tokenizer.json"))
    bert = MaskedLMTransformer(init=tmp_path, layer="all").fit(TEXTS)
    np.testing.assert_allclose(bert.transform(TEXTS), expected, atol=1e-5)
    assert len(bert.tokenize(TEXTS[0])) > 5


def test_more_rows_than_tokens(tmp_path):
    """Tables are often padded to a round number."""
    transformers = pytest.importorskip("transformers")
    module, made = publish("bert", tmp_path)
    config = transformers.BertConfig.from_pretrained(tmp_path)
    config.vocab_size = 64
    module = transformers.BertForMaskedLM(config).eval()
    module.save_pretrained(tmp_path)
    bert = MaskedLMTransformer(init=tmp_path, layer="all").fit(TEXTS)
    assert len(bert.vocabulary_) == 64
    expected = [pooled(their_states(module, made.encode(text)), "mean") for text in TEXTS]
    np.testing.assert_allclose(bert.transform(TEXTS), expected, atol=1e-5)


def test_training_goes_on(published):
    _, folder, *_ = published
    untrained = MaskedLMTransformer(init=folder, random_state=0).fit(TEXTS)
    options = {"init": folder, "random_state": 0, "lr": 1e-3, "mask_fraction": 0.5}
    trained = [MaskedLMTransformer(**options, max_epochs=1).fit(TEXTS * 5) for _ in range(2)]
    assert torch.equal(weights(trained[0]), weights(trained[1]))
    moved = (weights(trained[0]) - weights(untrained)).abs()
    assert 0 < moved.max() < 0.05
    longer = MaskedLMTransformer(**options | {"lr": 0.01}, max_epochs=40).fit(TEXTS * 5)
    losses = [row["train_loss"] for row in longer.history_]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert untrained.partial_fit(TEXTS).n_epochs_ == 1


# --- writing ---------------------------------------------------------------------------------------------------------

SHAPES = {"BERT": Transformer(n_heads=2), "ModernBERT": None}


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("model", ["wordpiece", "byte_bpe", "bpe"])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_written_is_the_same_in_transformers(shape, model, lowercase, tmp_path):
    transformers = pytest.importorskip("transformers")
    texts = [*(text for text in TEXTS if text), "潮汐和 the潮"] * 3
    bert = MaskedLMTransformer(
        8,
        backbone=SHAPES[shape],
        tokenizer=SubwordTokenizer(model, vocab_size=300),
        lowercase=lowercase,
        max_length=LENGTH,
        max_epochs=1,
        layer="all",
        random_state=0,
    ).fit(texts)
    bert.save_pretrained(tmp_path / "made")
    made = transformers.AutoTokenizer.from_pretrained(tmp_path / "made")
    module = transformers.AutoModel.from_pretrained(tmp_path / "made").eval()
    guesser = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "made").eval()
    short = ["The cats sat", "the DOG, ran", "", "w1 w2", "和潮 the汐"]
    features = bert.transform(short)
    for text, row in zip(short, features, strict=True):
        inputs = made(text, return_tensors="pt")
        assert made.convert_ids_to_tokens(inputs["input_ids"][0]) == bert.tokenize(text)
        with torch.no_grad():
            states = torch.cat(module(**inputs, output_hidden_states=True).hidden_states)
        np.testing.assert_allclose(row, pooled(states, "mean"), atol=1e-5)
    for text in ("the[MASK] sat", "[MASK] cats sat", "[MASK] the [MASK][MASK]"):
        with torch.no_grad():
            expected = guesser(**made(text, return_tensors="pt")).logits[0].softmax(1)
        hidden = [i for i, token in enumerate(bert.tokenize(text)) if token == "[MASK]"]
        guesses = [dict(found) for found in bert.fill_mask(text, n_guesses=10**6)]
        ours = [[found[token] for token in bert.vocabulary_] for found in guesses]
        np.testing.assert_allclose(ours, expected[hidden], atol=1e-5)
    again = MaskedLMTransformer(init=tmp_path / "made", layer="all").fit(texts)
    np.testing.assert_allclose(again.transform([*short, LONG]), bert.transform([*short, LONG]), atol=1e-6)
    assert again.vocabulary_ == bert.vocabulary_
    assert again.score(texts) == pytest.approx(bert.score(texts), rel=0.3)


def test_written_pairs(tmp_path):
    transformers = pytest.importorskip("transformers")
    bert = MaskedLMTransformer(
        8, backbone=Transformer(n_heads=2), max_length=128, max_epochs=1, layer="all", random_state=0
    ).fit(PAIRS)
    bert.save_pretrained(tmp_path)
    made = transformers.AutoTokenizer.from_pretrained(tmp_path)
    module = transformers.AutoModel.from_pretrained(tmp_path).eval()
    pairs = PAIRS[PAIRS["b"] != ""]  # there a pair without a second text is a single text
    for (first, second), row in zip(pairs.to_numpy(), bert.transform(pairs), strict=True):
        with torch.no_grad():
            inputs = made(first, second, return_tensors="pt")
            states = torch.cat(module(**inputs, output_hidden_states=True).hidden_states)
        np.testing.assert_allclose(row, pooled(states, "mean"), atol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_what_was_read_is_written_again(kind, tmp_path):
    transformers = pytest.importorskip("transformers")
    module, made = publish(kind, tmp_path / "read")
    bert = MaskedLMTransformer(init=tmp_path / "read", layer="all").fit(TEXTS)
    bert.save_pretrained(tmp_path / "written")
    again = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "written").eval()
    assert again.config.model_type == kind
    names = transformers.AutoTokenizer.from_pretrained(tmp_path / "written")
    for text in TEXTS:
        ids = names(text)["input_ids"]
        assert ids == made.encode(text).ids
        with torch.no_grad():
            np.testing.assert_allclose(again(torch.tensor([ids])).logits, module(torch.tensor([ids])).logits, atol=1e-5)
    ours = MaskedLMTransformer(init=tmp_path / "written", layer="all").fit(TEXTS)
    np.testing.assert_array_equal(ours.transform(TEXTS), bert.transform(TEXTS))


def test_what_cannot_be_written(tmp_path):
    texts = [text for text in TEXTS if text]
    for options, message in (
        ({"backbone": Transformer(norm="pre")}, "norm='post', positions='learned', activation='gelu'"),
        ({"backbone": Transformer(causal=True)}, "norm='post', positions='learned', activation='gelu'"),
        ({"tokenizer": str.split}, "SubwordTokenizer.*transformers"),
        ({"preprocessor": str.lower}, "preprocessor.*strip_accents"),
    ):
        bert = MaskedLMTransformer(8, max_epochs=0, **options).fit(texts)
        with pytest.raises(ValueError, match=message):
            bert.save_pretrained(tmp_path / "made")
    assert not (tmp_path / "made").exists()


# --- what is wrong is named ------------------------------------------------------------------------------------------


def changed_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v != "gone"}))


def without_tensor(folder):
    from safetensors.torch import load_file, save_file

    path = str(folder / "model.safetensors")
    tensors = load_file(path)
    del tensors["bert.encoder.layer.1.attention.self.key.weight"]
    save_file(tensors, path)


def other_tokenizer(folder):
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    made.save(str(folder / "tokenizer.json"))


def large_tokenizer(folder):
    made = wordpiece_json()
    made.add_tokens(["more", "and"])
    made.save(str(folder / "tokenizer.json"))


def pickle_alone(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


DAMAGE = {
    "no folder": (lambda f: shutil.rmtree(f), r"config\.json\b.*\bfolder\b"),
    "no config": (lambda f: (f / "config.json").unlink(), r"config\.json\b.*\bfolder\b"),
    "config of text": (lambda f: (f / "config.json").write_text("x"), r"config\.json\b.*JSON.*line 1 column 1"),
    "config of a list": (lambda f: (f / "config.json").write_text("[1]"), r"config\.json\b.*JSON object"),
    "another model": (lambda f: changed_config(f, model_type="gpt2"), "'gpt2'.*'bert', 'roberta'"),
    "no model": (lambda f: changed_config(f, model_type="gone"), "'None'.*'bert', 'roberta'"),
    "no size": (lambda f: changed_config(f, hidden_size="gone"), r"config\.json\b.*hidden_size"),
    "relu": (lambda f: changed_config(f, hidden_act="relu"), "'relu'.*'gelu'"),
    "positions": (lambda f: changed_config(f, position_embedding_type="relative_key"), "'relative_key'.*'absolute'"),
    "heads": (lambda f: changed_config(f, num_attention_heads=3), r"config\.json\b.*\b3\b.*\b8\b"),
    "more layers": (lambda f: changed_config(f, num_hidden_layers=9), r"encoder\.layer\.3\."),
    "damaged weights": (
        lambda f: (f / "model.safetensors").write_bytes(b"\x08" * 99),
        r"model\.safetensors\b(?!.*pytorch_model)",
    ),
    "empty weights": (lambda f: (f / "model.safetensors").write_bytes(b""), r"model\.safetensors\b(?!.*pytorch_model)"),
    "pickle alone": (pickle_alone, r"model\.safetensors\b.*pytorch_model\.bin"),
    "a missing tensor": (without_tensor, r"encoder\.layer\.1\.attention\.self\.key\.weight"),
    "damaged tokenizer": (lambda f: (f / "tokenizer.json").write_text("{"), r"tokenizer\.json\b.*\(.+\)"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), r"tokenizer\.json\b.*vocab\.txt"),
    "no special tokens": (other_tokenizer, r"tokenizer\b.*\[PAD\]"),
    "too many tokens": (large_tokenizer, r"\b24\b.*\b50\b.*max_length=24\b.*\b52\b"),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound") / "bert"
    publish("bert", folder)
    return folder


@pytest.mark.parametrize("case", DAMAGE)
def test_what_is_wrong_is_named(case, sound, tmp_path):
    damage, message = DAMAGE[case]
    folder = tmp_path / "bert"
    shutil.copytree(sound, folder)
    damage(folder)
    bert = MaskedLMTransformer(init=folder)
    with pytest.raises(ValueError, match=message) as caught:
        bert.fit(TEXTS)
    assert "\n" not in str(caught.value)
    assert not [name for name in vars(bert) if name.endswith("_")]


def test_parameters_that_do_not_go_together(sound):
    for options, message in (
        ({"max_length": LENGTH + 1}, rf"\b24\b.*max_length={LENGTH + 1}\b"),
        ({"n_components": 8}, "init=.*n_components, backbone.*tokenizer"),
        ({"backbone": Transformer()}, "init=.*n_components, backbone.*tokenizer"),
        ({"tokenizer": SubwordTokenizer()}, "init=.*n_components, backbone.*tokenizer"),
        ({"layer": 4}, r"layer=4\b.*\b1\b.*\b3\b"),
    ):
        with pytest.raises(ValueError, match=message):
            MaskedLMTransformer(init=sound, **options).fit(TEXTS)


def test_without_the_library(sound, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "safetensors.torch", None)
    with pytest.raises(ImportError, match=r"pip install 'skrep\[text\]'"):
        MaskedLMTransformer(init=sound).fit(TEXTS)
