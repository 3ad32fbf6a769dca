"""Running TFLite models. The only module that imports a runtime."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:  # a device that only has the older runtime
    from tflite_runtime.interpreter import Interpreter

Array = npt.NDArray[np.float32]


class TFLiteModel:
    """A TFLite model with one input and a fixed batch size. (Resizing it later would set up its delegate again.)"""

    def __init__(self, file: Path, batch: int = 1, threads: int = 1) -> None:
        self._interpreter = Interpreter(model_path=str(file), num_threads=threads)
        (details,) = self._interpreter.get_input_details()
        self._interpreter.resize_tensor_input(details["index"], [batch, *details["shape"][1:]])
        self._interpreter.allocate_tensors()
        self._input = details["index"]
        self._outputs = [output["index"] for output in self._interpreter.get_output_details()]

    def __call__(self, batch: Array) -> list[Array]:
        """Run one full batch, float32 [batch, ...]. Returns the outputs in the model's order."""
        self._interpreter.set_tensor(self._input, batch)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]
