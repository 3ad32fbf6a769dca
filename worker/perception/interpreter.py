"""Running TFLite networks: the one place that knows which runtime there is."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:  # a device that only has the older runtime
    from tflite_runtime.interpreter import Interpreter

Array = npt.NDArray[np.float32]


class TFLiteModel:
    """A TFLite network with a fixed batch size: resizing a live interpreter would set up its delegate anew."""

    def __init__(self, file: Path, batch: int = 1, threads: int = 1) -> None:
        self._interpreter = Interpreter(model_path=str(file), num_threads=threads)
        (given,) = self._interpreter.get_input_details()
        self._interpreter.resize_tensor_input(given["index"], [batch, *given["shape"][1:]])
        self._interpreter.allocate_tensors()
        self._input = given["index"]
        self._outputs = [output["index"] for output in self._interpreter.get_output_details()]

    def __call__(self, batch: Array) -> list[Array]:
        """Run one full batch, float32 [batch, ...]; the outputs in the network's own order."""
        self._interpreter.set_tensor(self._input, batch)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]
