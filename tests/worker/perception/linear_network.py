"""A set of models with known answers: each is one fully connected layer, written as a TFLite file."""

import hashlib
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema
from msgspec import structs

from worker.contract.messages import EMOTIONS
from worker.perception.manifest import VERSION, Adaptive, Input, Manifest, Model, write_manifest

SIDE = 8


def write_linear_models(folder: Path, seeds: dict[str, int], temperature: float = 1.0) -> Manifest:
    """Write a model per name, with weights from its seed, and their manifest with equal weights."""
    models = []
    for name, seed in seeds.items():
        content = linear_network(*linear_weights(seed))
        (folder / f"{name}.tflite").write_bytes(content)
        spec = Input(SIDE, "grey", 127.5, 127.5)
        models.append(Model(name, f"{name}.tflite", hashlib.sha256(content).hexdigest(), spec, "float32", 1.0))
    manifest = Manifest(VERSION, list(EMOTIONS), temperature, models)
    write_manifest(manifest, folder)
    return manifest


def write_adaptive_models(folder: Path, first: str, threshold: float, default: bool = False) -> None:
    """Write two models, of which `first` is the first of the adaptive ensemble, with this threshold."""
    manifest = write_linear_models(folder, {"mobilenetv2": 1, "resnet50v2": 2})
    write_manifest(structs.replace(manifest, adaptive=Adaptive(first, 1.0, threshold, default=default)), folder)


def linear_weights(seed: int, outputs: int = len(EMOTIONS)) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Kernel [outputs, SIDE * SIDE] and bias [outputs]."""
    random = np.random.default_rng(seed)
    kernel = random.normal(0, 0.2, (outputs, SIDE * SIDE)).astype(np.float32)
    return kernel, random.normal(0, 1, outputs).astype(np.float32)


def linear_network(kernel: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]) -> bytes:
    """A TFLite file that flattens [n, SIDE, SIDE, 1] and gives kernel @ pixels + bias, [n, outputs]."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers = 3, [schema.BufferT()]
    graph.tensors = [
        _tensor(model, "pixels", [1, SIDE, SIDE, 1]),
        _tensor(model, "kernel", list(kernel.shape), kernel),
        _tensor(model, "bias", list(bias.shape), bias),
        _tensor(model, "logits", [1, len(bias)]),
    ]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = [0, 1, 2], [3]
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = schema.FullyConnectedOptionsT()
    graph.inputs, graph.outputs, graph.operators = [0], [3], [operator]
    model.operatorCodes, model.subgraphs = [code], [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(model: Any, name: str, shape: list[int], values: npt.NDArray[np.float32] | None = None) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = name, shape, schema.TensorType.FLOAT32
    tensor.buffer = 0
    if values is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        tensor.buffer = len(model.buffers)
        model.buffers.append(buffer)
    return tensor
