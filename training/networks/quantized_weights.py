"""Starting weights from a quantized network: a .tflite of `training quantize` becomes a network that learns again.

The converter folds most batch norms into the kernel and bias of a neighbour and drops them. The loader gives the
kernels and biases to the layers of the same name. A norm that was dropped starts as the identity.
"""

import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from training.networks.norm_statistics import Affine, give_statistics, norm_of_tensor

Array = npt.NDArray[np.float32]

_DTYPES: dict[int, type[np.generic]] = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT8: np.int8,
}

_IDENTIFIER = b"TFL3"  # bytes 4 to 8 of every TFLite file

# The converter's names of a kernel's operator in a layer: LAYER/convolution, LAYER/depthwise, LAYER/MatMul.
_KERNEL_OPERATORS = ("convolution", "depthwise", "MatMul")
# Its names of the operators of a batch norm that was not folded.
_OF_NORM = {schema.BuiltinOperator.MUL: "batchnorm/mul_1", schema.BuiltinOperator.ADD: "batchnorm/add_1"}

_LAYERS_WITH_KERNEL = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)


@dataclass(frozen=True)
class QuantizedWeights:
    """The weights of a .tflite in float32, by the names of the Keras layers.

    `kernels` have Keras' axes, each with its bias. `factors` and `shifts` ([channels]) belong to the batch norms that
    were not folded. `unnamed` holds kernels without a layer's name in the file: those of the network's outputs.
    """

    kernels: dict[str, tuple[Array, Array]] = field(default_factory=dict)
    unnamed: list[tuple[Array, Array]] = field(default_factory=list)
    factors: dict[str, Array] = field(default_factory=dict)
    shifts: dict[str, Array] = field(default_factory=dict)


def load_quantized(network: keras.Model, path: Path, sample: Array) -> None:
    """Load the weights of the .tflite at `path`, and give every batch norm the statistics of `sample`.

    `sample` is standardized pixels, [n, size, size, channels], that run through the network once. Raises OSError if the
    file cannot be read and ValueError if it is not a .tflite of the same network.
    """
    weights = read_quantized(path)
    layers = [layer for layer in network.layers if isinstance(layer, _LAYERS_WITH_KERNEL)]
    rank_of = _ranked(layer.name for layer in layers)
    found = {rank: weights.kernels[name] for name, rank in _ranked(weights.kernels).items()}
    missing = [layer for layer in layers if rank_of[layer.name] not in found]
    if len(missing) != len(weights.unnamed) or len(found) + len(missing) != len(layers):
        raise ValueError(
            f"{path.name} has {len(found) + len(weights.unnamed)} kernels, {network.name} has {len(layers)}; "
            "is it the file of another network?"
        )
    found.update({rank_of[layer.name]: kernel for layer, kernel in zip(missing, weights.unnamed, strict=True)})

    norm_of = norm_of_tensor(network)
    bias_of: dict[str, Array] = {}
    for layer in layers:
        kernel, bias = found[rank_of[layer.name]]
        wanted = tuple(layer.weights[0].shape)
        if kernel.shape != wanted:
            raise ValueError(f"{path.name}: {layer.name} has shape {kernel.shape}, the network wants {wanted}")
        layer.weights[0].assign(kernel)
        if layer.use_bias:
            layer.weights[1].assign(bias)
        else:
            bias_of[norm_of[id(layer.output)].name] = bias
    give_statistics(network, list(_norms(network, weights, bias_of)), sample)


def read_quantized(path: Path) -> QuantizedWeights:
    """The weights in the .tflite at `path`; OSError or ValueError if it is not one."""
    content = path.read_bytes()
    if content[4:8] != _IDENTIFIER:
        raise ValueError(f"{path.name} is not a TFLite file")
    try:
        model = schema.ModelT.InitFromPackedBuf(content)
    except (struct.error, IndexError, TypeError) as failure:  # flatbuffers does not check its input
        raise ValueError(f"{path.name} is damaged ({failure})") from None
    (graph,) = model.subgraphs
    constants = dict(_constants(model))
    weights = QuantizedWeights()
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)  # small codes are in the old field only
        name = graph.tensors[operator.outputs[0]].name.decode()
        given = [constants.get(int(index)) for index in operator.inputs]
        if kind == schema.BuiltinOperator.DEQUANTIZE and given[0] is not None:
            constants[int(operator.outputs[0])] = given[0]
        elif kind in _WITH_KERNEL and given[1] is not None:
            kernel = _WITH_KERNEL[kind](given[1])
            channels = kernel.shape[:-1] if kind == schema.BuiltinOperator.DEPTHWISE_CONV_2D else kernel.shape
            bias = np.zeros(channels[-1], np.float32) if given[2] is None else given[2]
            layer = _layer(name, _KERNEL_OPERATORS)
            if layer is None:
                weights.unnamed.append((kernel, bias))
            else:
                weights.kernels[layer] = kernel, bias
        elif kind in _OF_NORM:
            part, norms = _OF_NORM[kind], weights.factors if kind == schema.BuiltinOperator.MUL else weights.shifts
            layer, constant = _layer(name, (part,)), next((array for array in given if array is not None), None)
            if layer is not None and constant is not None:
                norms[layer] = constant.reshape(-1)
    return weights


# From the axes of TFLite to those of Keras. In TFLite, convolutions are [out, rows, columns, in], depthwise ones
# [1, rows, columns, channels], dense layers [out, in].
_WITH_KERNEL = {
    schema.BuiltinOperator.CONV_2D: lambda kernel: kernel.transpose(1, 2, 3, 0),
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: lambda kernel: kernel[0][..., np.newaxis],
    schema.BuiltinOperator.FULLY_CONNECTED: lambda kernel: kernel.transpose(),
}


def _constants(model: Any) -> Iterator[tuple[int, Array]]:
    """Every constant that may be a weight, by the index of its tensor, in float32."""
    (graph,) = model.subgraphs
    for index, tensor in enumerate(graph.tensors):
        content = model.buffers[tensor.buffer].data
        if content is None or not len(content) or tensor.type not in _DTYPES:
            continue
        shape = () if tensor.shape is None else tuple(tensor.shape)
        yield index, _dequantized(np.frombuffer(bytes(content), _DTYPES[tensor.type]).reshape(shape), tensor)


def _dequantized(values: npt.NDArray[np.generic], tensor: Any) -> Array:
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None or not len(quantization.scale):
        return values.astype(np.float32)
    shape = [1] * values.ndim
    if len(quantization.scale) > 1:
        shape[quantization.quantizedDimension] = -1
    scale = np.asarray(quantization.scale, np.float64).reshape(shape)
    zero = np.asarray(quantization.zeroPoint, np.float64).reshape(shape)
    return np.asarray((values.astype(np.float64) - zero) * scale, np.float32)


def _layer(fused: str, operators: Iterable[str]) -> str | None:
    """The layer of the first of `operators` in the name of a tensor; None if the name has none of them.

    A name joins the fused operators: `net_1/relu_1/Relu;net_1/conv_1/convolution`. The converter appends `_1` to each
    part.
    """
    found = re.search(rf"([^/;]+?)(_\d+)?/({'|'.join(operators)})(;|$)", fused)
    return found[1] if found else None


def _ranked(names: Iterable[str]) -> dict[str, tuple[str, int]]:
    """The stem of each name, and its rank among equal stems: Keras counts the `conv2d` of a whole process."""
    number_of = {name: re.search(r"_(\d+)$", name) for name in names}
    counts = Counter[str]()
    ranked = {}
    for name, number in sorted(number_of.items(), key=lambda item: int(item[1][1]) if item[1] else 0):
        stem = name.removesuffix(number[0]) if number else name
        ranked[name] = stem, counts[stem]
        counts[stem] += 1
    return ranked


def _norms(network: keras.Model, weights: QuantizedWeights, bias_of: dict[str, Array]) -> Iterator[Affine]:
    """Every batch norm with the factor and the shift that it applies."""
    for norm in network.layers:
        if isinstance(norm, keras.layers.BatchNormalization):
            channels = norm.gamma.shape[0]
            factor = weights.factors.get(norm.name, np.ones(channels, np.float32))
            shift = bias_of.get(norm.name, weights.shifts.get(norm.name, np.zeros(channels, np.float32)))
            yield Affine(norm, factor, shift)
