"""Encode decoded pictures as JPEGs, as a player displays them."""

from fractions import Fraction
from typing import Any, cast

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type
from av.video.stream import VideoStream

from producer.feeding.decoding.display import Orientation, displayed_size, orientation_of

# Pixels of the longer side of a JPEG, as in Full HD. A face in a gallery of 49 then still has about 90 pixels.
LONGEST_SIDE = 1920
JPEG_QUALITY = 90


class JpegEncoder:
    """Encodes the pictures of a video as a player displays them, each in its own size, no side above LONGEST_SIDE.

    `width` and `height` are the first picture's size as displayed, in pixels, not scaled down. A later picture may have
    another size and shape.
    """

    def __init__(self, stream: VideoStream, first: av.VideoFrame) -> None:
        self._stream = stream
        self._codec_aspect = stream.codec_context.sample_aspect_ratio
        self.width, self.height = self._displayed(first)[1]

    def jpeg(self, picture: av.VideoFrame) -> bytes:
        """The picture upright, with square pixels, at most LONGEST_SIDE pixels wide and high."""
        orientation, (width, height) = self._displayed(picture)
        shrink = min(1.0, LONGEST_SIDE / max(width, height))
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        pixels = _scaled(picture, size[1], size[0]) if orientation.transposed else _scaled(picture, *size)
        if orientation.transposed:
            pixels = cv2.transpose(pixels)
        if orientation.mirrored or orientation.flipped:
            pixels = cv2.flip(pixels, _FLIPS[orientation[1:]])
        _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        return np.asarray(encoded).tobytes()

    def _displayed(self, picture: av.VideoFrame) -> tuple[Orientation, tuple[int, int]]:
        """The orientation of a picture and its size as displayed."""
        matrix = cast(Any, picture.side_data).get(Type.DISPLAYMATRIX)  # PyAV's stub lacks the method
        orientation = Orientation() if matrix is None else orientation_of(bytes(matrix))
        width, height = displayed_size(picture.width, picture.height, self._pixel_aspect())
        return orientation, ((height, width) if orientation.transposed else (width, height))

    def _pixel_aspect(self) -> Fraction | None:
        """The container's pixel aspect, until the codec changes its own; then the codec's."""
        codec = self._stream.codec_context.sample_aspect_ratio
        return self._stream.sample_aspect_ratio if codec == self._codec_aspect else codec


def _scaled(picture: av.VideoFrame, width: int, height: int) -> cv2.typing.MatLike:
    """The pixels [height, width, 3] of a picture, one field if it is interlaced, over black if it is transparent."""
    shrinking = width < picture.width and height <= picture.height
    if picture.interlaced_frame:
        # Both fields together show a moving face twice, as a comb.
        field = picture.reformat(format="bgr24").to_ndarray()[::2]
        return cv2.resize(field, (width, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
    method = "AREA" if shrinking else None
    if len(picture.format.components) in (2, 4) or picture.format.has_palette:
        pixels = picture.reformat(width, height, "bgra", interpolation=method).to_ndarray()
        return cv2.multiply(pixels[..., :3], cv2.merge([pixels[..., 3]] * 3), scale=1 / 255)
    return picture.reformat(width, height, "bgr24", interpolation=method).to_ndarray()


_FLIPS = {(True, False): 1, (False, True): 0, (True, True): -1}
"""OpenCV's code for (mirrored, flipped)."""
