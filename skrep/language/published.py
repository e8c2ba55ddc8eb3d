"""Folders of published models, as Hugging Face's transformers writes them: read and written without that package.

Layers are called otherwise in each family (BERT, RoBERTa, DistilBERT), and queries, keys and values are three matrices
there and one here.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from skrep.backbones import ROTARY_BASE, Transformer, TransformerModule
from skrep.text import SubwordTokenizer, tokenizers_library

__all__ = ["Published", "read_published", "write_published"]

# Ours -> theirs. {i} is the number of a layer, {kind} one of q, k, v; ".weight" and ".bias" follow.
_BERT = {
    "tokens": "embeddings.word_embeddings",
    "positions": "embeddings.position_embeddings",
    "types": "embeddings.token_type_embeddings",
    "norm": "embeddings.LayerNorm",
    "layers.{i}.attention.qkv": "encoder.layer.{i}.attention.self.{kind}",
    "layers.{i}.attention.out": "encoder.layer.{i}.attention.output.dense",
    "layers.{i}.norm1": "encoder.layer.{i}.attention.output.LayerNorm",
    "layers.{i}.feed_forward.expand": "encoder.layer.{i}.intermediate.dense",
    "layers.{i}.feed_forward.out": "encoder.layer.{i}.output.dense",
    "layers.{i}.norm2": "encoder.layer.{i}.output.LayerNorm",
}
_DISTILBERT = {
    "tokens": "embeddings.word_embeddings",
    "positions": "embeddings.position_embeddings",
    "norm": "embeddings.LayerNorm",
    "layers.{i}.attention.qkv": "transformer.layer.{i}.attention.{kind}_lin",
    "layers.{i}.attention.out": "transformer.layer.{i}.attention.out_lin",
    "layers.{i}.norm1": "transformer.layer.{i}.sa_layer_norm",
    "layers.{i}.feed_forward.expand": "transformer.layer.{i}.ffn.lin1",
    "layers.{i}.feed_forward.out": "transformer.layer.{i}.ffn.lin2",
    "layers.{i}.norm2": "transformer.layer.{i}.output_layer_norm",
}
_MODERNBERT = {
    "tokens": "embeddings.tok_embeddings",
    "norm": "embeddings.norm",
    "layers.{i}.norm1": "layers.{i}.attn_norm",
    "layers.{i}.attention.qkv": "layers.{i}.attn.Wqkv",
    "layers.{i}.attention.out": "layers.{i}.attn.Wo",
    "layers.{i}.norm2": "layers.{i}.mlp_norm",
    "layers.{i}.feed_forward.expand": "layers.{i}.mlp.Wi",
    "layers.{i}.feed_forward.out": "layers.{i}.mlp.Wo",
    "last_norm": "final_norm",
}
_HEADS = {
    "modernbert": {"dense": "head.dense", "norm": "head.norm", "bias": "decoder.bias"},
    "bert": {
        "dense": "cls.predictions.transform.dense",
        "norm": "cls.predictions.transform.LayerNorm",
        "bias": "cls.predictions.bias",
    },
    "roberta": {"dense": "lm_head.dense", "norm": "lm_head.layer_norm", "bias": "lm_head.bias"},
    "distilbert": {"dense": "vocab_transform", "norm": "vocab_layer_norm", "bias": "vocab_projector.bias"},
}
_NAMES = {"bert": _BERT, "roberta": _BERT, "distilbert": _DISTILBERT, "modernbert": _MODERNBERT}
_PARTS = {"bert": ("query", "key", "value"), "roberta": ("query", "key", "value"), "distilbert": ("q", "k", "v")}

# What stands before the names where there is a head too.
_PREFIX = {"bert": "bert.", "roberta": "roberta.", "distilbert": "distilbert.", "modernbert": "model."}

# Numbers of a config, by our names for them.
_CONFIG = {
    "bert": {
        "width": "hidden_size", "n_layers": "num_hidden_layers", "n_heads": "num_attention_heads",
        "hidden": "intermediate_size", "activation": "hidden_act", "dropout": "hidden_dropout_prob",
    },
    "distilbert": {
        "width": "dim", "n_layers": "n_layers", "n_heads": "n_heads", "hidden": "hidden_dim",
        "activation": "activation", "dropout": "dropout",
    },
    "modernbert": {
        "width": "hidden_size", "n_layers": "num_hidden_layers", "n_heads": "num_attention_heads",
        "hidden": "intermediate_size", "activation": "hidden_activation", "dropout": "mlp_dropout",
    },
}  # fmt: skip
_CONFIG["roberta"] = _CONFIG["bert"]

# What special tokens are called: padding, unknown, begin, end, mask.
SPECIAL = (
    ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    ("<pad>", "<unk>", "<s>", "</s>", "<mask>"),
)


@dataclass
class Published:
    """What a folder holds."""

    backbone: Transformer
    width: int
    max_length: int
    n_types: int
    weights: dict[str, Tensor]  # of a TransformerModule
    head: dict[str, Tensor] | None  # of the layer behind it, where it is there
    tokenizer: SubwordTokenizer
    special: tuple[str, ...]
    between: int


def _library() -> Any:
    try:
        import safetensors.torch
    except ImportError:
        raise ImportError("published weights need Hugging Face's safetensors: pip install 'skrep[text]'.") from None
    return safetensors.torch


def read_published(folder: str | os.PathLike) -> Published:
    """Read a model of the shape of BERT, RoBERTa or DistilBERT, or of ModernBERT where all layers see all tokens.

    Parameters
    ----------
    folder : path-like
        With config.json, model.safetensors, and tokenizer.json or vocab.txt.

    Returns
    -------
    Published

    Raises
    ------
    ValueError
        If a file is missing or the model is of another shape; the message names it.
    ImportError
        Without ``safetensors``.
    """
    folder = Path(folder)
    config = _read_json(folder / "config.json")
    kind = str(config.get("model_type"))
    if kind not in _NAMES:
        raise ValueError(f"{folder} holds a model of type {kind!r}; expected one of {', '.join(map(repr, _NAMES))}.")
    numbers = {ours: config[theirs] for ours, theirs in _CONFIG[kind].items() if theirs in config}
    lacking = {"width", "n_layers", "n_heads", "hidden"} - numbers.keys()
    if lacking:
        raise ValueError(f"{folder / 'config.json'} does not say {', '.join(_CONFIG[kind][name] for name in lacking)}.")
    if numbers.get("activation", "gelu") != "gelu":
        raise ValueError(f"{folder} has the activation {numbers['activation']!r}; expected 'gelu'.")
    shape: dict[str, Any] = {}
    is_modern = kind == "modernbert"
    (_require_full_attention if is_modern else _require_learned_positions)(config, folder)
    weights, head = _read_weights(folder, kind, numbers["n_layers"])
    if is_modern:
        max_length = int(config["max_position_embeddings"])
        shape = {"norm": "pre", "positions": "rotary", "activation": "glu"}
    else:
        first = int(config.get("pad_token_id", 1)) + 1 if kind == "roberta" else 0  # rows up to that of padding
        table = weights["positions.weight"] = weights["positions.weight"][first:].contiguous()
        max_length = len(table)
    if kind == "roberta" and "types.weight" in weights:
        weights["types.weight"] = weights["types.weight"][:1]  # both texts of a pair have the first
    _require_shapes(weights, numbers, folder)
    backbone = Transformer(
        n_layers=numbers["n_layers"],
        n_heads=numbers["n_heads"],
        hidden=numbers["hidden"],
        dropout=float(numbers.get("dropout", 0.1)),
        eps=float(config.get("norm_eps", 1e-5) if is_modern else config.get("layer_norm_eps", 1e-12)),
        **shape,
    )
    tokenizer = SubwordTokenizer()
    tokenizer.json_ = _read_tokenizer(folder)
    pieces = set(tokenizer.pieces())
    special = next((names for names in SPECIAL if pieces.issuperset(names)), None)
    if special is None:
        raise ValueError(f"the tokenizer in {folder} has none of the special tokens {SPECIAL[0]} or {SPECIAL[1]}.")
    return Published(
        backbone=backbone,
        width=numbers["width"],
        max_length=max_length,
        n_types=len(weights["types.weight"]) if "types.weight" in weights else 0,
        weights=weights,
        head=head,
        tokenizer=tokenizer,
        special=special,
        between=2 if kind == "roberta" else 1,
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist. Name the folder of a published model.") from None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}).") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a JSON object.")
    return content


def _require_shapes(weights: dict[str, Tensor], numbers: dict[str, Any], folder: Path) -> None:
    width, hidden, n_heads = numbers["width"], numbers["hidden"], numbers["n_heads"]
    found = weights["tokens.weight"].shape[1], weights["layers.0.feed_forward.out.weight"].shape[1]
    if found != (width, hidden):
        raise ValueError(
            f"{folder}: config.json says the widths {width} and {hidden}, the weights have {found[0]} and {found[1]}."
        )
    if not isinstance(n_heads, int) or n_heads < 1 or width % n_heads:
        raise ValueError(f"{folder}: config.json says {n_heads!r} heads for a width of {width}.")


def _require_learned_positions(config: dict[str, Any], folder: Path) -> None:
    kind = config.get("position_embedding_type", "absolute")
    if kind != "absolute":
        raise ValueError(f"{folder} has positions of the type {kind!r}; expected 'absolute'.")


def _require_full_attention(config: dict[str, Any], folder: Path) -> None:
    kinds = config.get("layer_types") or ["full_attention"] * (config.get("global_attn_every_n_layers") == 1)
    base = (config.get("rope_parameters") or {}).get("full_attention", {}).get("rope_theta")
    base = config.get("global_rope_theta") if base is None else base
    if set(kinds) != {"full_attention"} or base != ROTARY_BASE:
        raise ValueError(
            f"{folder} is a ModernBERT of which some layers see near tokens alone, or with another base of its rotary "
            f"positions than {ROTARY_BASE:g}; such are not read."
        )


def _read_weights(folder: Path, kind: str, n_layers: int) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
    path = folder / "model.safetensors"
    if not path.is_file():
        raise ValueError(f"{path} does not exist. (Weights in pickle files, pytorch_model.bin, are not read.)")
    library = _library()
    try:
        theirs: dict[str, Tensor] = library.load_file(str(path))
    except Exception as error:  # the library raises its own
        raise ValueError(f"{path} cannot be read ({error}).") from None
    named = {}
    for name, tensor in theirs.items():
        name = name.removeprefix(_PREFIX[kind]).replace(".gamma", ".weight").replace(".beta", ".bias")
        named[name] = tensor.float()
    weights: dict[str, Tensor] = {}
    for name, their_names in _pairs(kind, n_layers):
        missing = [n for n in their_names if n not in named]
        if not missing:
            weights[name] = torch.cat([named[n] for n in their_names])
        elif kind == "modernbert" and name.endswith(".bias"):
            weights[name] = torch.zeros(len(weights[name.removesuffix("bias") + "weight"]))
        elif not name.startswith("types."):
            raise ValueError(f"{path} has no {missing[0]}.")
    head = {}
    for ours, template in _HEADS[kind].items():
        for part in ("",) if ours == "bias" else (".weight", ".bias"):
            if template + part in named:
                head[ours + part] = named[template + part]
    return weights, head if len(head) == 5 else None


def _pairs(kind: str, n_layers: int) -> Iterator[tuple[str, list[str]]]:
    """Our name of each weight, and theirs: three for queries, keys and values."""
    for ours, theirs in _NAMES[kind].items():
        for i in range(n_layers) if "{i}" in ours else [0]:
            if kind == "modernbert" and i == 0 and ours.endswith("norm1"):
                continue  # what comes to the first layer is normalised already
            for part in ("weight", "bias") if "norm" in ours or "layers" in ours else ("weight",):
                kinds = _PARTS[kind] if "{kind}" in theirs else ("",)
                yield f"{ours.format(i=i)}.{part}", [f"{theirs.format(i=i, kind=k)}.{part}" for k in kinds]


def _read_tokenizer(folder: Path) -> str:
    tokenizers = tokenizers_library()
    path = folder / "tokenizer.json"
    if path.is_file():
        try:
            return str(tokenizers.Tokenizer.from_file(str(path)).to_str())
        except Exception as error:  # the library raises just that
            raise ValueError(f"{path} cannot be read ({error}).") from None
    path = folder / "vocab.txt"
    if not path.is_file():
        raise ValueError(f"{folder} has no tokenizer.json and no vocab.txt.")
    pieces = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")  # a piece may be another line break
    options = folder / "tokenizer_config.json"
    lowercase = bool(_read_json(options).get("do_lower_case", True)) if options.is_file() else True
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = tokenizers.decoders.WordPiece()
    if vocabulary.keys() >= set(SPECIAL[0]):
        tokenizer.add_special_tokens(list(SPECIAL[0]))
        ends = [(name, vocabulary[name]) for name in ("[SEP]", "[CLS]")]
        tokenizer.post_processor = tokenizers.processors.BertProcessing(*ends)
    return str(tokenizer.to_str())


def write_published(
    folder: str | os.PathLike,
    transformer: TransformerModule,
    backbone: Transformer,
    head: dict[str, Tensor],
    tokenizer: str,
    special: tuple[str, ...],
    numbers: dict[str, int],
    is_roberta: bool,
) -> None:
    """Write a folder that ``transformers.AutoModel`` and ``AutoTokenizer`` read.

    Parameters
    ----------
    folder : path-like
        Made when missing.
    transformer : TransformerModule
        The network.
    backbone : Transformer
        What it was built from.
    head : dict of str to torch.Tensor
        Of the layer behind it.
    tokenizer : str
        As ``tokenizers`` writes it.
    special : tuple of str
        Padding, unknown, begin, end, mask.
    numbers : dict of str to int
        Those of the special tokens.
    is_roberta : bool
        Whether it is to be read as RoBERTa, which has no types of texts to speak of, or as BERT.

    Raises
    ------
    ValueError
        If the network is of another shape.
    """
    shape = backbone.norm, backbone.positions, backbone.activation, backbone.causal, transformer.types is not None
    is_bert = shape[:4] == ("post", "learned", "gelu", False)
    is_modern = shape == ("pre", "rotary", "glu", False, False)
    if not is_bert and not is_modern:
        raise ValueError(
            "only networks of the shape of BERT, Transformer(norm='post', positions='learned', activation='gelu'), or "
            "of ModernBERT, Transformer(norm='pre', positions='rotary', activation='glu'), can be written for "
            "transformers."
        )
    kind = "roberta" if is_roberta else "bert" if is_bert else "modernbert"
    layer: Any = transformer.layers[0]
    ours = {name: tensor.detach().cpu() for name, tensor in transformer.state_dict().items()}
    first = numbers[special[0]] + 1 if is_roberta else 0  # rows up to that of padding
    if first:
        ours["positions.weight"] = torch.cat([torch.zeros(first, transformer.width), ours["positions.weight"]])
    if is_bert and transformer.types is None:  # DistilBERT's
        ours["types.weight"] = torch.zeros(2, transformer.width)
    theirs: dict[str, Tensor] = {}
    for name, their_names in _pairs(kind, transformer.n_layers):
        for their_name, piece in zip(their_names, ours[name].chunk(len(their_names)), strict=True):
            theirs[_PREFIX[kind] + their_name] = piece.contiguous()
    for name, template in _HEADS[kind].items():
        for part in ("",) if name == "bias" else (".weight", ".bias"):
            theirs[template + part] = head[name + part].detach().cpu().contiguous()
    config = {theirs_name: getattr(backbone, name, None) for name, theirs_name in _CONFIG[kind].items()} | {
        "model_type": kind,
        "hidden_size": transformer.width,
        "num_attention_heads": layer.attention.n_heads,
        "intermediate_size": layer.feed_forward.out.in_features,
        "max_position_embeddings": transformer.max_length + first,
        "vocab_size": transformer.tokens.num_embeddings,
        "pad_token_id": numbers[special[0]],
        "bos_token_id": numbers[special[2]],
        "cls_token_id": numbers[special[2]],
        "eos_token_id": numbers[special[3]],
        "sep_token_id": numbers[special[3]],
    }
    if kind == "modernbert":
        theta = {"rope_theta": ROTARY_BASE, "rope_type": "default"}
        config |= {
            "architectures": ["ModernBertForMaskedLM"],
            "hidden_activation": "gelu",
            "norm_eps": backbone.eps,
            "norm_bias": True,
            "attention_bias": True,
            "mlp_bias": True,
            "classifier_bias": True,
            "attention_dropout": backbone.dropout,
            "embedding_dropout": backbone.dropout,
            "global_attn_every_n_layers": 1,
            "layer_types": ["full_attention"] * transformer.n_layers,
            "global_rope_theta": ROTARY_BASE,
            "local_rope_theta": ROTARY_BASE,
            "rope_parameters": {"full_attention": theta, "sliding_attention": theta},
        }
    else:
        config |= {
            "architectures": ["RobertaForMaskedLM" if is_roberta else "BertForMaskedLM"],
            "hidden_act": "gelu",
            "attention_probs_dropout_prob": backbone.dropout,
            "layer_norm_eps": backbone.eps,
            "type_vocab_size": len(ours["types.weight"]),
        }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _library().save_file(theirs, str(folder / "model.safetensors"), metadata={"format": "pt"})
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    files = {
        "config.json": json.dumps(config, indent=2),
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": json.dumps(
            names
            | {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "model_max_length": transformer.max_length,
                "model_input_names": ["input_ids", *(["token_type_ids"] * (kind == "bert")), "attention_mask"],
            },
            indent=2,
        ),
        "special_tokens_map.json": json.dumps(names, indent=2),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
